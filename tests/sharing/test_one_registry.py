"""A run has one registry: whoever asks first starts it, and all others attach to it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.images.layout_writer import LayoutWriter
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.images.transfer import transfer
from tests.sharing.conftest import wait_until

if TYPE_CHECKING:
    from tests.sharing.conftest import Place, PytestRun

SUITES = Path(__file__).with_name("suites")
NOWHERE = "127.0.0.1:1"
MADE_UP = {"PYTEST_REGISTRY_UPSTREAM": NOWHERE, "DOCKER_HOST": "unix:///no/such/engine.sock"}
"""The sample image is a synthetic one, since neither an engine nor an upstream has nginx."""

FILES = 3


@dataclass(frozen=True)
class Way:
    """A way to spread six tests; `workers` is how many of them see the registry."""

    options: tuple[str, ...]
    workers: int = 3
    variables: tuple[tuple[str, str], ...] = ()
    said: str = "6 passed"

    def __str__(self) -> str:
        return " ".join((*self.options, *(f"{key}={value}" for key, value in self.variables)))


WAYS = (
    Way(("-n3", "--dist=load")),
    Way(("-n3", "--dist=loadscope")),
    Way(("-n3", "--dist=loadfile")),
    Way(("-n3", "--dist=loadgroup")),
    Way(("-n3", "--dist=worksteal")),
    Way(("-n3", "--dist=each"), said="18 passed"),
    Way(("--tx=3*popen", "--dist=load")),
    Way(("-n0", "--dist=no"), workers=1),
    Way(("-n3", "--maxprocesses=2"), workers=2),
    Way(("-n3", "--maxfail=1"), variables=(("FAIL", "1"),), said="stopping after 1 failures"),
)


def files_of(suite: str, directory: Path) -> Path:
    """The suite in several files: with --dist loadfile each is for one worker."""
    for name in ("conftest.py", "pytest.ini"):
        shutil.copy(SUITES / name, directory)
    for number in range(FILES):
        shutil.copy(SUITES / f"{suite}.py", directory / f"test_{suite}_{number}.py")
    return directory


def seen(run: PytestRun) -> list[dict[str, Any]]:
    """What the tests of the run have written down."""
    return [json.loads(path.read_text()) for path in run.said("seen-*")]


def workers(run: PytestRun) -> set[str]:
    return {each["worker"] for each in seen(run)}


def only(run: PytestRun, name: str) -> Any:
    """The one value that all tests of the run have seen under this name."""
    values = {json.dumps(each[name]) for each in seen(run)}
    assert len(values) == 1, f"{name}: {values}\n{run.output}"
    return json.loads(values.pop())


def assert_shared(run: PytestRun) -> None:
    """One registry, started once, kept by one keeper and its guardian, filled once."""
    assert only(run, "runs") == [only(run, "run")]
    assert len(only(run, "keepers")) == 2
    for name in ("url", "state", "digest"):
        assert only(run, name)
    assert only(run, "pushes") == 1


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_one_registry_is_started_and_filled_once_with(
    way: Way, place: Place, tmp_path: Path
) -> None:
    variables = {**MADE_UP, "WORKERS": str(way.workers), **dict(way.variables)}
    directory = files_of("shared", tmp_path)
    run = place.start("shared", str(directory), *way.options, **variables)
    run.wait()
    assert way.said in run.output
    assert len(workers(run)) == way.workers, run.output
    assert_shared(run)
    assert not place.wait_until_empty()


@pytest.mark.parametrize("source", ["synthetic_image(seed=5)", "archived_image(ARCHIVE)"])
def test_the_image_of_a_mark_is_pushed_once_whichever_workers_made_it(
    source: str, pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    layout = pytester.path / "layout"
    pytester.makepyfile(
        test_it=f"""
        import pathlib
        import pytest
        from pytest_registry import archived_image, synthetic_image

        ARCHIVE = pathlib.Path({str(layout)!r})

        @pytest.mark.push_image({source}, repository="samples/x")
        @pytest.mark.parametrize("number", range(4))
        def test_it(number): pass
        """
    )
    transfer(synthetic_image(), LayoutWriter(layout))
    result = pytester.runpytest_subprocess("--registry-engine=embedded", "-n2")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines("1 push, *")


def test_one_container_serves_all_workers(container_place: Place) -> None:
    run = container_place.start("in_use", "-n3", TESTS="3")
    run.wait_for("using-*", 3)
    containers = len(container_place.containers())
    run.say()
    assert run.wait() == 0, run.output
    assert containers == 1
    assert not container_place.wait_until_empty()


def test_a_worker_that_replaces_a_crashed_one_attaches(place: Place) -> None:
    run = place.start("shared", "-n2", **MADE_UP, WORKERS="2", TESTS="8", CRASH="0")
    run.wait()
    assert "1 failed, 7 passed" in run.output
    assert workers(run) in ({"gw0", "gw2"}, {"gw1", "gw2"})
    assert_shared(run)
    assert not place.wait_until_empty()


def test_the_registry_outlives_a_worker_that_finishes_long_before_the_rest(place: Place) -> None:
    run = place.start("shared", "-n2", **MADE_UP, LATE="gw1")
    assert run.wait() == 0, run.output
    assert workers(run) == {"gw0", "gw1"}
    assert_shared(run)
    assert not place.wait_until_empty()


def test_a_start_that_fails_is_tried_once_and_told_to_every_worker(place: Place) -> None:
    variables = {**MADE_UP, "PYTEST_REGISTRY_ENGINE": "container", "WORKERS": "3", "TESTS": "6"}
    run = place.start("shared", "-n3", **variables)
    assert run.wait() == pytest.ExitCode.TESTS_FAILED
    assert len(workers(run)) == 3
    assert "EngineUnavailable" in only(run, "error")
    assert only(run, "state")
    assert not place.wait_until_empty()


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n2", "--dist=each")], ids=" ".join)
def test_nothing_is_made_where_no_test_asks(options: tuple[str, ...], place: Place) -> None:
    run = place.start("idle", *options)
    assert run.wait() == 0, run.output
    assert {path.read_text() for path in run.said("made-*")} == {""}
    assert not place.left()


FORKS_FOR_EACH = """
    import os
    import pytest
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item):
        child = os.fork()
        if child == 0:
            reports = runtestprotocol(item, log=False, nextitem=None)
            os._exit(not all(report.passed for report in reports))
        failed = os.waitpid(child, 0)[1]
        outcome = "failed" if failed else "passed"
        report = pytest.TestReport(item.nodeid, item.location, {}, outcome, None, "call")
        item.ihook.pytest_runtest_logreport(report=report)
        return True
"""


def test_tests_that_are_forked_each_share_one_registry(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makeconftest(FORKS_FOR_EACH)
    pytester.makepyfile(
        """
        import pathlib
        import pytest
        from pytest_registry import synthetic_image

        @pytest.mark.parametrize("number", range(3))
        def test_sees_it(registry, number):
            assert len(registry.repositories()) == number
            registry.push(synthetic_image(), f"of/{number}")
            with pathlib.Path("urls").open("a") as file:
                file.write(registry.url + "\\n")
        """
    )
    result = pytester.runpytest_subprocess("--registry-engine=embedded", "-p", "no:xdist")
    result.assert_outcomes(passed=3)
    urls = (pytester.path / "urls").read_text().split()
    assert (len(urls), len(set(urls))) == (3, 1)


def test_forked_children_do_not_end_a_registry_nor_keep_it(place: Place) -> None:
    run = place.start("forks", "-p", "no:xdist")
    assert run.wait() == 0, run.output
    child = run.said("child")[0].read_text()

    def left() -> list[str]:
        return [one for one in place.left() if not one.startswith(f"process {child}:")]

    wait_until(lambda: not left(), "all but the child is gone", lambda: "\n".join(left()))
    assert Path("/proc", child).exists()
    run.say()
    assert not place.wait_until_empty()
