"""What the tests of limits share: directories, limits, and processes that are really killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.polled import PolledSlots
from pytest_registry.limits.slots import Slots

REGISTRY = "localhost:5000"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A directory as the caller of the limits gives it."""
    path = tmp_path / "limits"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(params=["ring", "polled"])
def slots(request: pytest.FixtureRequest, base: Path) -> Slots:
    """Each mechanism for one machine: what holds for one must hold for the other."""
    return file_slots(REGISTRY, base) if request.param == "ring" else PolledSlots(base)


@pytest.fixture
def limits(base: Path) -> Limits:
    """Limits of two pulls and one push, with a log beside the slots."""
    policy = LimitPolicy(pull=2, push=1, timeout=20)
    return Limits(file_slots(REGISTRY, base), policy, log=base / "events")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start one of the programs in `programs.py` as a process; killed at the end if it still runs.

    They are processes of their own, as forking pytest itself would copy xdist's threads.
    """
    running: list[subprocess.Popen[str]] = []

    def start_program(name: str, *arguments: object) -> subprocess.Popen[str]:
        program = Path(__file__).with_name("programs.py")
        # From 3.12 on Python warns of a fork beside threads, which one program does on purpose.
        strict = ["-Werror", "-Wignore:This process:DeprecationWarning"]
        command = [sys.executable, *strict, str(program), name, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        running.append(process)
        return process

    yield start_program
    for process in running:
        process.kill()
        process.communicate()
