"""Locks on files, of which a child that is forked meanwhile has a copy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_registry.security import locks

pytestmark = pytest.mark.skipif(os.name != "posix", reason="nothing is forked")


@pytest.fixture
def in_a_child(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a copy of each lock's descriptor, as a child has that another thread forks."""
    copies: list[int] = []
    open_lock = locks.open_lock

    def copied(path: Path, *, make: bool) -> int:
        descriptor = open_lock(path, make=make)
        copies.append(os.dup(descriptor))
        return descriptor

    monkeypatch.setattr(locks, "open_lock", copied)
    yield
    for copy in copies:
        os.close(copy)


def is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        locks.try_lock(descriptor)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_lock_is_let_go_though_a_child_has_a_copy(tmp_path: Path, in_a_child: None) -> None:
    path = tmp_path / "lock"
    with locks.locked(path):
        assert not is_free(path)
    assert is_free(path)


def test_a_child_that_leaves_the_context_does_not_let_go_of_its_parents_lock(
    tmp_path: Path, in_a_child: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    with locks.locked(path):
        monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not is_free(path)
