"""What a run's registry wrote last, for those who want to know what went wrong."""

from __future__ import annotations

from pytest_registry.engines.readiness import tail
from pytest_registry.report.requests import Requests
from pytest_registry.report.traffic import read_last
from pytest_registry.sharing.run import Run

SHOWN = 20
"""Requests, and lines of its own log, that are shown at most."""


def last_words(run: Run) -> list[str]:
    """The last lines of the registry's own log, and the last requests that passed our gate."""
    requests = Requests(read_last(run.requests)).lines(SHOWN)
    return [*tail(run.registry_log, SHOWN), *requests]
