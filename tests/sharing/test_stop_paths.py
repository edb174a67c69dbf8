"""However a run is stopped, nothing of it is left, and who used the registry is told of its end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sharing.conftest import wait_until

if TYPE_CHECKING:
    from tests.sharing.conftest import Place, PytestRun


@dataclass(frozen=True)
class StopPath:
    """A way to stop a run whose tests are using the registry.

    `said` must stand in the run's output.
    """

    name: str
    stop: Callable[[PytestRun], None]
    options: tuple[str, ...] = ()
    fail: bool = False
    tests: int = 2
    said: tuple[str, ...] = ()
    xdist_only: bool = False


def go(run: PytestRun) -> None:
    run.say()


def interrupt(run: PytestRun) -> None:
    os.killpg(run.process.pid, signal.SIGINT)


def interrupt_twice(run: PytestRun) -> None:
    interrupt(run)
    run.wait_for("finishing-main")
    if run.process.poll() is None:
        interrupt(run)


def terminate(run: PytestRun) -> None:
    run.controller.kill(signal.SIGTERM)


def hang_up(run: PytestRun) -> None:
    """End a session as systemd does where it sends both: to all that is in it."""
    for process in (*run.keepers, *run.workers, run.controller):
        with contextlib.suppress(ProcessLookupError):  # the first may have been enough
            process.kill(signal.SIGTERM)
            process.kill(signal.SIGHUP)


def kill_controller(run: PytestRun) -> None:
    run.controller.kill()


def kill_worker(run: PytestRun) -> None:
    os.kill(int(run.said("using-gw0")[0].read_text()), signal.SIGKILL)
    run.wait_for("using-gw2")  # xdist's replacement


def kill_all_pytests(run: PytestRun) -> None:
    for process in (run.controller, *run.workers):
        process.kill()


def kill_keeper(run: PytestRun) -> None:
    run.keeper.kill()
    run.place.wait_until_silent()


def kill_guardian(run: PytestRun) -> None:
    run.guardian.kill()


def kill_keeper_and_guardian(run: PytestRun) -> None:
    for process in (run.guardian, run.keeper):
        process.kill()
    run.place.wait_until_silent()


def kill_keeper_and_controller(run: PytestRun) -> None:
    for process in (run.keeper, run.controller):
        process.kill()


ENDED = ("RegistryEnded", "the run's registry ended: its keeper", "last log lines", " /v2/")
PASSED = ("2 passed",)

STOP_PATHS = (
    StopPath("the run ends", go, said=PASSED),
    StopPath("tests fail", go, fail=True, said=("2 failed",)),
    StopPath("a test fails with -x", go, options=("-x",), fail=True, said=("stopping after",)),
    StopPath("Ctrl-C is pressed", interrupt, said=("KeyboardInterrupt",)),
    StopPath("Ctrl-C is pressed twice", interrupt_twice),
    StopPath("the controller gets SIGTERM", terminate),
    StopPath("all get SIGTERM and SIGHUP", hang_up),
    StopPath("the controller is killed", kill_controller),
    StopPath(
        "a worker is killed and replaced",
        kill_worker,
        tests=6,  # xdist starts no test on a worker before it knows that one's next
        said=("1 failed, 5 passed",),
        xdist_only=True,
    ),
    StopPath("all pytest processes are killed", kill_all_pytests),
    StopPath("the keeper is killed", kill_keeper, said=ENDED),
    StopPath("the guardian is killed", kill_guardian, said=PASSED),
    StopPath("keeper and guardian are killed", kill_keeper_and_guardian, said=ENDED),
    StopPath("keeper and controller are killed", kill_keeper_and_controller),
)


def stop(path: StopPath, place: Place, *, xdist: bool, **variables: str) -> None:
    """Start a run, stop it in this way while its tests use the registry, and look what is left."""
    options = ("-n", "2", "--dist", "load") if xdist else ("-p", "no:xdist")
    variables |= {"TESTS": str(path.tests)} | ({"FAIL": "1"} if path.fail else {})
    run = place.start("in_use", *options, *path.options, **variables)
    run.wait_for("using-*", 2 if xdist else 1)
    place.observe()
    path.stop(run)
    run.say()  # who is left may go on
    run.wait()
    left = place.wait_until_empty()
    assert not left, "\n".join([*left, run.output])
    missing = [text for text in path.said if text not in run.output]
    assert not missing, f"{missing} not in:\n{run.output}"


IN_ITS_START = {
    "Ctrl-C is pressed": interrupt,
    "the controller gets SIGTERM": terminate,
    "the controller is killed": kill_controller,
    "all pytest processes are killed": kill_all_pytests,
}


@pytest.mark.parametrize("how", IN_ITS_START)
@pytest.mark.parametrize("xdist", [False, True], ids=["without xdist", "with xdist"])
@pytest.mark.parametrize(
    ("place_name", "begun"), [("place", "accounts.json"), ("container_place", "used-engine")]
)
def test_nothing_is_left_of_a_registry_that_was_starting_when(
    how: str, xdist: bool, place_name: str, begun: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(place_name)
    run = place.start("in_use", *(("-n", "2") if xdist else ("-p", "no:xdist")))
    wait_until(lambda: any((one / begun).exists() for one in place.runs), "a start has begun")
    IN_ITS_START[how](run)
    run.say()
    run.wait()
    left = place.wait_until_empty()
    assert not left, "\n".join([*left, run.output])


@pytest.mark.parametrize("place_name", ["place", "container_place"])
def test_others_have_the_registry_though_the_worker_is_killed_that_starts_it(
    place_name: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(place_name)
    run, holder = next(filter(None, (starting(place) for _ in range(5))))
    os.kill(holder, signal.SIGKILL)
    run.say()
    run.wait()
    assert "1 failed, 5 passed" in run.output, run.output
    assert not (left := place.wait_until_empty()), "\n".join(left)


def starting(place: Place) -> tuple[PytestRun, int] | None:
    """A run and its worker that starts the registry; None where that was over unseen."""
    run = place.start("in_use", "-n", "2", "--dist", "load", TESTS="6")
    wait_until(lambda: starters(run) or run.said("using-*"), "a start has begun, or is over")
    held = starters(run)
    if len(held) == 1 and not run.said("using-*"):
        return run, held[0][0]
    run.say()
    run.wait()
    return None


def starters(run: PytestRun) -> list[tuple[int, int]]:
    """The worker that holds the lock of the start, once its keeper holds its own."""
    if not any((directory / "keeper.lock").exists() for directory in run.place.runs):
        return []
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    holders = {int(line[4]) for line in held if line[1] == "FLOCK"}
    return [(each.pid, each.parent) for each in run.workers if each.pid in holders]


each_path = pytest.mark.parametrize(
    ("path", "xdist"),
    [
        pytest.param(path, xdist, id=f"{path.name} {'with' if xdist else 'without'} xdist")
        for path in STOP_PATHS
        for xdist in (False, True)
        if xdist or not path.xdist_only
    ],
)


@each_path
def test_nothing_is_left_of_an_embedded_registry_when(
    path: StopPath, xdist: bool, place: Place
) -> None:
    stop(path, place, xdist=xdist)


@each_path
def test_nothing_is_left_of_a_registry_container_when(
    path: StopPath, xdist: bool, container_place: Place
) -> None:
    stop(path, container_place, xdist=xdist)


def test_nothing_is_left_of_a_registry_container_that_somebody_removes_without_its_volume(
    container_place: Place,
) -> None:
    place = container_place
    run = place.start("in_use", "-p", "no:xdist", TESTS="2")
    run.wait_for("using-*")
    place.observe()
    assert place.engine is not None
    assert place.volumes
    for container in place.containers():
        place.engine.api.remove_container(container["Id"], force=True)
    run.say()
    run.wait()
    left = place.wait_until_empty()
    assert not left, "\n".join([*left, run.output])
    assert "the run's registry ended: the registry container" in run.output


@pytest.mark.parametrize("path", STOP_PATHS[::7], ids=lambda path: path.name)
def test_nothing_is_left_on_platforms_whose_locks_need_names_when(
    path: StopPath, place: Place
) -> None:
    stop(path, place, xdist=True, NAMED_LOCKS="1")
