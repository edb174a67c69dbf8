"""What a run's registry wrote last, for those who want to know what went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from pytest_registry.engines.readiness import tail
from pytest_registry.report.requests import Requests
from pytest_registry.report.traffic import LoggedRequest, read_last
from pytest_registry.sharing.run import Run

SHOWN = 20
"""Requests, and lines of its own log, that are shown at most."""

QUIET, LONGEST_WAIT = 0.1, 1.0
"""Seconds without a further line that make a log quiet, and how long that is waited for."""


def last_words(run: Run, besides: Iterable[LoggedRequest] = ()) -> list[str]:
    """The last lines of the registry's own log, and the last requests that passed our gate.

    Requests that are shown already, `besides` these, are left out.
    """
    shown = {(each.started, each.path) for each in besides}
    last = (each for each in read_last(run.requests) if (each.started, each.path) not in shown)
    return [*tail(run.registry_log, SHOWN), *Requests(last).lines(SHOWN)]


def wait_until_quiet(log: Path) -> None:
    """Let a container's lines arrive: they come through its engine, after the answer."""
    deadline = time.monotonic() + LONGEST_WAIT
    size = _size(log)
    while time.monotonic() < deadline:
        time.sleep(QUIET)
        before, size = size, _size(log)
        if size == before:
            return


def _size(file: Path) -> int:
    """In bytes; 0 where there is no file."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
