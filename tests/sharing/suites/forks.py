"""Tests that fork, as plugins do that give each test a process of its own."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import Registry, synthetic_image

SIGNALS = Path(os.environ["SIGNALS"])


@pytest.fixture(scope="session")
def every(registry: Registry, registry_factory: Callable[..., Registry]) -> list[Registry]:
    """The run's registry and one that this process alone owns."""
    return [registry, registry_factory(storage="memory")]


def still_serve(every: list[Registry]) -> bool:
    return all(one.push(synthetic_image(), f"forks/{os.getpid()}").digest for one in every)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_runs_a_test_and_exits(every: list[Registry]) -> None:
    child = os.fork()
    if not child:
        os._exit(0 if still_serve(every) else 1)
    assert ended(child) == 0
    assert still_serve(every)


def test_a_child_goes_through_the_end_of_pytest(every: list[Registry]) -> None:
    child = os.fork()
    if not child:
        pytest.exit("the child ends as pytest does", 7)
    assert ended(child) == 7
    assert still_serve(every)


def test_a_child_lives_on_after_the_run(every: list[Registry]) -> None:
    child = os.fork()
    if not child:
        deadline = time.monotonic() + 60
        while not (SIGNALS / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os._exit(0)
    (SIGNALS / "child").write_text(str(child))
    assert still_serve(every)
