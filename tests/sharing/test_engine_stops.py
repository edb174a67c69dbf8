"""The container engine is restarted, or stopped for good, in the midst of a run that uses it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sharing.conftest import MARK, Place, PytestRun
from tests.sharing.second_engine import SecondEngine, second_engine

if TYPE_CHECKING:
    import docker

WITHIN = 30.0
"""Seconds after its last test in which nothing of a run is left."""

ENDED = ("RegistryEnded", "the run's registry ended: the registry container", "last log lines")


@pytest.fixture(scope="module")
def stoppable() -> Iterator[SecondEngine]:
    """An engine that nobody else uses."""
    with second_engine() as engine:
        yield engine


@pytest.fixture
def stoppable_place(
    stoppable: SecondEngine, environment: dict[str, str], ci_registry_image: str
) -> Iterator[Place]:
    """A place for runs with that engine; what is in the engine is looked at separately."""
    directory = Path(tempfile.mkdtemp(prefix="run-"))
    place = Place(directory, environment)
    environment |= {
        MARK: place.mark,
        "TMPDIR": str(directory),
        "PYTEST_REGISTRY_ENGINE": "container",
        "PYTEST_REGISTRY_IMAGE": ci_registry_image,
        "DOCKER_HOST": stoppable.address,
    }
    yield place
    place.close()
    shutil.rmtree(directory.with_name(f"{directory.name}-signals"))


def stand_still(engine: SecondEngine) -> None:
    engine.stop()


def die(engine: SecondEngine) -> None:
    engine.kill()


def restart(engine: SecondEngine) -> None:
    engine.stop()
    engine.start()


with_and_without_xdist = pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-p", "no:xdist"), id="without xdist"),
        pytest.param(("-n", "2", "--dist", "load"), id="with xdist"),
    ],
)


def interrupted(
    place: Place,
    options: tuple[str, ...],
    engine: SecondEngine,
    stop: Callable[[SecondEngine], None],
) -> PytestRun:
    """A run whose engine is stopped while its tests use the registry; its tests are over."""
    run = place.start("in_use", *options)
    run.wait_for("using-*", 2 if "-n" in options else 1)
    place.observe()
    stop(engine)
    run.say()
    run.wait_for("finishing-main")
    return run


def left_in(place: Place, client: docker.DockerClient) -> list[str]:
    """What is left of the runs, there and in the engine."""
    place.engine = client
    try:
        return place.wait_until_empty(WITHIN)
    finally:
        place.engine = None


def owed(place: Place) -> list[Path]:
    return list(place.directory.glob("pytest-registry-*/owed/*.json"))


def left_beside_debt(place: Place) -> list[str]:
    """What is left but for a debt and the directories that it lies in."""
    deadline = time.monotonic() + WITHIN
    while True:
        allowed = {path for debt in owed(place) for path in (debt, *debt.parents)}
        files = {
            f"file {path.relative_to(place.directory)}"
            for path in allowed
            if path.is_relative_to(place.directory)
        }
        left = [each for each in place.left() if each not in files]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def tags_of(place: Place, client: docker.DockerClient) -> list[str]:
    """Names in the engine that begin with the address of a registry of the runs."""
    names = [name for image in client.api.images() for name in image["RepoTags"] or ()]
    return [name for name in names if name.partition("/")[0] in place.hosts]


def missing(run: PytestRun) -> list[str]:
    return [text for text in ENDED if text not in run.output]


@with_and_without_xdist
def test_nothing_is_left_and_the_end_is_told_when_the_engine_is_restarted(
    options: tuple[str, ...], stoppable: SecondEngine, stoppable_place: Place
) -> None:
    run = interrupted(stoppable_place, options, stoppable, restart)
    with closing(stoppable.connect()) as client:
        left = left_in(stoppable_place, client)
    assert not left, "\n".join([*left, run.output])
    assert not missing(run), run.output


@pytest.mark.parametrize(
    "stop",
    [pytest.param(stand_still, id="stopped"), pytest.param(die, id="killed by signal 9")],
)
@with_and_without_xdist
def test_tags_are_owed_by_an_engine_that_is_gone_and_paid_by_the_next_run_when_it_is_back(
    stop: Callable[[SecondEngine], None],
    options: tuple[str, ...],
    stoppable: SecondEngine,
    stoppable_place: Place,
) -> None:
    place = stoppable_place
    try:
        run = interrupted(place, options, stoppable, stop)
        left = left_beside_debt(place)
        assert not left, "\n".join([*left, run.output])
        assert not missing(run), run.output
        assert len(owed(place)) == 1
    finally:
        stoppable.start()
    with closing(stoppable.connect()) as client:
        assert tags_of(place, client), "nothing was owed"
        # An engine that was restarted begins anew with its ports: this run gets the first one's.
        following = place.start("in_use", "-p", "no:xdist", TESTS="1")
        following.say()
        assert following.wait() == 0, following.output
        left = left_in(place, client)
    assert not left, "\n".join([*left, following.output])
