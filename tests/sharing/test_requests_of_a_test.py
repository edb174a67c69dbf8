"""Which of the logged requests are the running test's, also where the clock is set back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.report.traffic import LoggedRequest
from pytest_registry.security.credentials import Credentials
from pytest_registry.watch import Current, Watch

HOST = "127.0.0.1:5000"
SECONDS = 0.01
"""How long each request takes."""


def line_of(path: str, started: float) -> str:
    """A line of the log of requests."""
    request = LoggedRequest(
        method="GET",
        route="base",
        path=path,
        repository="",
        reference="",
        status=200,
        bytes_in=0,
        bytes_out=0,
        started=started,
        seconds=SECONDS,
        user_agent="tool/1",
        account="pytest",
        worker="main",
    )
    return json.dumps(dataclasses.asdict(request)) + "\n"


class Process:
    """A process of a run, which runs one test after the other and knows the registry already."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.current = Current()
        endpoint = Endpoint(
            engine="embedded",
            detail="",
            reason="",
            scheme="http",
            host=HOST,
            daemon_host=HOST,
            credentials=Credentials("pytest", "secret"),
            request_log=str(log),
        )
        self._watch = Watch(endpoint, lambda: self.current, (None, None), lambda _: None)

    def begin(self) -> float:
        """Begin the next test; when, by the clock of now."""
        self.current = Current()
        return self.current.started

    def write(self, text: str) -> None:
        with self._log.open("a", encoding="ascii") as file:
            file.write(text)

    def seen(self) -> list[str]:
        """The paths of the requests that the test that runs now is told of."""
        return [each.path for each in self._watch.requests()]


@pytest.fixture
def process(tmp_path: Path) -> Process:
    (tmp_path / "requests").write_text(line_of("/before-the-registry-was-known", 0.0))
    return Process(tmp_path / "requests")


@pytest.mark.parametrize("first", [True, False])
def test_a_test_sees_its_requests_though_the_clock_is_set_back_after_it_began(
    process: Process, first: bool
) -> None:
    began = process.current.started if first else process.begin()
    process.write(line_of("/one", began + 1) + line_of("/two", began + 2 - 10))
    assert process.seen() == ["/one", "/two"]


def test_a_test_sees_no_request_of_the_one_before_though_the_clock_is_set_back_between_them(
    process: Process,
) -> None:
    process.write(line_of("/before", process.begin() + 10))
    process.begin()
    assert process.seen() == []
    process.write(line_of("/mine", process.current.started))
    assert process.seen() == ["/mine"]


@pytest.mark.parametrize("ended", [0.001, -0.001])
def test_a_request_that_was_under_way_when_the_test_began_is_not_its_own(
    process: Process, ended: float
) -> None:
    process.write(line_of("/before", process.begin() + ended - SECONDS))
    assert process.seen() == []


def test_a_line_that_was_half_written_when_the_test_began_is_passed_over(process: Process) -> None:
    began = process.begin()
    before = line_of("/before", began)
    process.write(before[:20])
    began = process.begin()
    process.write(before[20:] + line_of("/mine", began))
    assert process.seen() == ["/mine"]


def test_a_log_that_was_begun_anew_is_read_from_its_beginning(
    process: Process, tmp_path: Path
) -> None:
    process.write(line_of("/before", 0.0) * 3)
    began = process.begin()
    (tmp_path / "requests").write_text(line_of("/mine", began))
    assert process.seen() == ["/mine"]


def test_a_log_that_is_gone_has_no_requests(process: Process, tmp_path: Path) -> None:
    process.begin()
    (tmp_path / "requests").unlink()
    assert process.seen() == []
