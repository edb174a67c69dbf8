"""Noting what a run makes in a registry that is not its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import pytest

from pytest_registry.sharing.elsewhere import noting
from pytest_registry.sharing.run import Run


@dataclasses.dataclass
class Noted:
    """As much of a run as is noted in."""

    repositories: Path


def test_a_repository_that_could_not_be_noted_is_noted_when_it_is_used_again(
    tmp_path: Path,
) -> None:
    names = tmp_path / "full" / "repositories"
    note = noting(cast("Run", Noted(names)))
    with pytest.raises(FileNotFoundError):
        note("a/b")
    names.parent.mkdir()
    for _ in range(2):
        note("a/b")
    assert names.read_text() == "a/b\n"
