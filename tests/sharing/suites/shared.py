"""Tests that all begin at once, each in its worker, and write down which registry they see."""

import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import Registry, RegistryError

SIGNALS = Path(os.environ["SIGNALS"])
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
WORKERS = int(os.environ.get("WORKERS", "1"))
PATIENCE = 60.0
TESTS = [
    pytest.param(number, marks=pytest.mark.xdist_group(f"group {number % 3}"))
    for number in range(int(os.environ.get("TESTS", "2")))
]


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)


def keepers(run: Path) -> list[int]:
    """The processes that keep the registry of a run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if "pytest_registry.sharing.keeper" in words and str(run) in words:
            found.append(int(entry.name))
    return sorted(found)


def pushes(run: Path) -> int:
    """How often the sample image's manifest was sent to the registry so far."""
    requests = map(json.loads, (run / "requests.jsonl").read_text().splitlines())
    wanted = ("PUT", "manifest", "samples/nginx")
    return sum((one["method"], one["route"], one["repository"]) == wanted for one in requests)


def write(**seen: object) -> None:
    part = SIGNALS / f".{uuid.uuid4().hex}"
    part.write_text(json.dumps({"worker": WORKER, **seen}))
    part.rename(SIGNALS / f"seen-{WORKER}-{part.name[1:]}")


@pytest.fixture(scope="session", autouse=True)
def together(say: Callable[[str], None]) -> None:
    """Let all workers come to the registry at the same time."""
    say("arrived")
    wait_until(lambda: len(list(SIGNALS.glob("arrived-*"))) >= WORKERS)


@pytest.mark.parametrize("number", TESTS)
def test_sees_a_registry(request: pytest.FixtureRequest, number: int) -> None:
    if os.environ.get("CRASH") == str(number):
        os.kill(os.getpid(), signal.SIGKILL)
    if "CRASH" in os.environ:
        wait_until((SIGNALS / "arrived-gw2").exists)
    if os.environ.get("LATE") == WORKER:
        wait_until((SIGNALS / "finishing-gw0").exists)
        time.sleep(0.5)  # and through the rest of its end
    try:
        registry: Registry = request.getfixturevalue("registry")
    except RegistryError as error:
        base = Path(os.environ["TMPDIR"])
        [state] = base.glob("pytest-registry-*/runs/*/state.json")
        write(error=repr(error), state=[state.stat().st_ino, state.stat().st_mtime_ns])
        raise
    image = request.getfixturevalue("registry_nginx_image")
    assert registry.tags(image.repository) == [image.tag]
    run = registry.client_config.parent
    status = (run / "state.json").stat()
    write(
        url=registry.url,
        run=str(run),
        runs=[str(path) for path in run.parent.iterdir()],
        state=[status.st_ino, status.st_mtime_ns],
        keepers=keepers(run),
        digest=image.digest,
        pushes=pushes(run),
    )
    assert os.environ.get("FAIL") != str(number)
