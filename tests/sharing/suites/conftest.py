"""How the suites here and the tests that run them signal to each other: by files."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry.sharing import owner

SIGNALS = Path(os.environ["SIGNALS"])
PATIENCE = 180.0  # longer than that of the tests


if "NAMED_LOCKS" in os.environ:  # as on a platform that has no files without a name
    owner._unnamed_files = lambda count: []  # noqa: ARG005 - named as it is called


def worker() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def say() -> Callable[[str], None]:
    """Give a signal; its file holds this process's id."""

    def give(name: str) -> None:
        part = SIGNALS / f".{name}-{worker()}"
        part.write_text(str(os.getpid()))
        part.rename(SIGNALS / f"{name}-{worker()}")

    return give


@pytest.fixture(scope="session")
def wait_for() -> Callable[[str], None]:
    """Wait for a signal."""

    def wait(name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not (SIGNALS / name).exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    return wait


def pytest_sessionfinish() -> None:
    (SIGNALS / f"finishing-{worker()}").touch()
