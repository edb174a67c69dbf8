"""What the plugin itself does in a registry of others keeps within the limits, as the tests do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.server import RegistryServer, RequestRecord, ServerSettings
from pytest_registry.sharing.directories import state_directory, state_path
from pytest_registry.sharing.elsewhere import SECOND_TRY
from tests.external.conftest import ACCOUNT, Served

if TYPE_CHECKING:
    from tests.external.conftest import Suite

LIMITS = ("--registry-pull-limit=1", "--registry-push-limit=1")
USES = "def test_it(registry): registry.client.ping()\n"


@pytest.fixture
def seen() -> list[RequestRecord]:
    return []


@pytest.fixture
def watched(seen: list[RequestRecord]) -> Iterator[Served]:
    """A registry that notes each request."""
    with RegistryServer(ServerSettings(credentials=ACCOUNT, observer=seen.append)) as server:
        yield Served(server.url, ACCOUNT)


@contextmanager
def held(served: Served, state: Path, kind: str) -> Iterator[threading.Event]:
    """Hold the only slot, as another run of this user, until the event is set."""
    ours = state_directory(state_path(str(state)))
    slots = file_slots(served.url.partition("://")[2], ours / "limits")
    limits = Limits(slots, LimitPolicy(pull=1, push=1))
    enough, holds = threading.Event(), threading.Event()

    def hold() -> None:
        with limits.push() if kind == "push" else limits.pull():
            holds.set()
            enough.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(60)
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def changes(seen: list[RequestRecord]) -> list[float]:
    """When requests came that push."""
    return [each.started for each in seen if each.method in {"PUT", "POST", "PATCH"}]


@pytest.mark.parametrize("kind", ["pull", "push"])
def test_features_are_tried_out_only_once_there_is_a_slot_and_the_wait_is_told(
    suite: Suite,
    watched: Served,
    seen: list[RequestRecord],
    tmp_path: Path,
    pytester: pytest.Pytester,
    *,
    kind: str,
) -> None:
    released: list[float] = []
    with held(watched, tmp_path / "state", kind) as enough:

        def release() -> None:
            while "waiting for" not in said() and not enough.is_set():
                time.sleep(0.05)
            released.append(time.time())
            enough.set()

        def said() -> str:
            with contextlib.suppress(FileNotFoundError):
                return (pytester.path / "stderr").read_text()
            return ""

        other = threading.Thread(target=release)
        other.start()
        result = suite(watched, USES, *LIMITS, "-v")
        enough.set()
        other.join()
    result.assert_outcomes(passed=1)
    result.stderr.re_match_lines(
        [rf".*waiting for ([5-9]|\d\d+) s for a {kind} slot for features \(limit 1\)"]
    )
    assert min(changes(seen)) >= released[0]


PUSHES = """
import pathlib, time
from pytest_registry import synthetic_image

def test_push(registry):
    registry.push(synthetic_image(1), "samples/one")
    pathlib.Path("pushed").touch()
    for _ in range(6000):
        if pathlib.Path("go").exists():
            break
        time.sleep(0.01)
"""


@contextmanager
def held_once_pushed(
    served: Served, state: Path, place: Path, wait: Callable[[threading.Event], object]
) -> Iterator[None]:
    """Hold the only slot from the suite's push on for as long as `wait` takes, or the context.

    `wait` is given an event, which is set at the context's end.
    """
    over = threading.Event()

    def hold() -> None:
        while not ((place / "pushed").exists() or over.is_set()):
            time.sleep(0.01)
        with held(served, state, "pull"):
            (place / "go").touch()
            wait(over)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_clearing_waits_as_long_as_it_may_where_no_summary_has_waited(
    suite: Suite, watched: Served, tmp_path: Path, pytester: pytest.Pytester
) -> None:
    def beyond_the_end(over: threading.Event) -> None:
        while not (any(tmp_path.glob("state/*/runs/*/finished")) or over.is_set()):
            time.sleep(0.01)
        over.wait(SECOND_TRY + 3)

    with held_once_pushed(watched, tmp_path / "state", pytester.path, beyond_the_end):
        # Without its terminal plugin pytest asks nobody for a summary, with which a run clears.
        result = suite(watched, PUSHES, *LIMITS, "--registry-slot-timeout=60", "-p", "no:terminal")
    assert result.ret == 0
    assert watched.tagged() == []


def test_clearing_waits_for_a_pull_slot_and_says_why_it_could_not_begin(
    suite: Suite,
    watched: Served,
    seen: list[RequestRecord],
    tmp_path: Path,
    pytester: pytest.Pytester,
) -> None:
    state = tmp_path / "state"
    with held_once_pushed(watched, state, pytester.path, lambda over: over.wait(60)):
        result = suite(watched, PUSHES, *LIMITS, "--registry-slot-timeout=5")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["not deleted below *: none came free within 5 s; held by *"])
    assert not any(each.method == "DELETE" and "samples/one" in each.repository for each in seen)
