"""What a run's registry wrote last, for those who want to know what went wrong."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_registry.engines.readiness import tail
from pytest_registry.report.requests import Requests
from pytest_registry.report.traffic import LoggedRequest, read_last
from pytest_registry.sharing.run import Run

SHOWN = 20
"""Requests, and lines of its own log, that are shown at most."""


def last_words(run: Run, besides: Iterable[LoggedRequest] = ()) -> list[str]:
    """The last lines of the registry's own log, and the last requests that passed our gate.

    Requests that are shown already, `besides` these, are left out.
    """
    shown = {(each.started, each.path) for each in besides}
    last = (each for each in read_last(run.requests) if (each.started, each.path) not in shown)
    return [*tail(run.registry_log, SHOWN), *Requests(last).lines(SHOWN)]
