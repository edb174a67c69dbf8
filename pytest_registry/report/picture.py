"""The picture of a run as plain data: what the page draws, and what machines read beside it."""

from __future__ import annotations

import platform
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_registry.report.model import figures, traffic_figures
from pytest_registry.report.records import OperationRecord
from pytest_registry.report.traffic import LoggedRequest

FORMAT = 1
"""Counts up when what machines read here changes its meaning."""

_MARKS = 2_000
"""Throttled and faulty requests that are drawn at most; all of them are counted."""

_TESTS = 50
"""Tests listed by how long they waited, at most."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a picture says of the run itself.

    `limits` are per kind, None for no limit. `command` and `host` are this process's.
    """

    engine: str
    reason: str
    address: str
    start_seconds: float
    limits: Mapping[str, int | None]
    command: str = field(default_factory=lambda: command_line(sys.argv))
    host: str = field(default_factory=platform.node)


def command_line(arguments: Sequence[str]) -> str:
    """A command for people to read; what may be a secret in it is struck out.

    The page goes from hand to hand, as no command line does.
    """
    if not arguments:
        return ""
    program = Path(arguments[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    pairs = zip(("", *arguments[1:]), arguments[1:], strict=False)
    return " ".join([shlex.quote(name), *(_shown(before, each) for before, each in pairs)])


def _shown(before: str, argument: str) -> str:
    """An argument as one would type it, after the one `before` it."""
    if before.startswith("-") and "=" not in before and _SECRET.search(before):
        return "***"
    name, equals, _ = argument.partition("=")
    if equals and _SECRET.search(name):
        return f"{shlex.quote(name)}=***"
    return shlex.quote(re.sub(r"(?<=://)[^/@\s]+(?=@)", "***", argument))


_SECRET = re.compile("pass|token|secret|key|credential", re.IGNORECASE)


def picture(
    run: RunFacts, records: Iterable[OperationRecord], requests: Iterable[LoggedRequest]
) -> dict[str, Any]:
    """All of it. Times are in seconds since `began`, which is in seconds of the epoch."""
    operations = sorted(records, key=lambda record: record.start)
    seen = list(requests)
    began = min(
        [record.start for record in operations] + [each.started for each in seen], default=0.0
    )
    return {
        "format": FORMAT,
        "run": asdict(run),
        "began": began,
        "seconds": _seconds(operations, seen, began),
        "figures": [asdict(each) for each in figures(operations, run.limits)],
        "traffic": asdict(traffic_figures(seen)),
        "operations": [_operation(record, began) for record in operations],
        "marks": [_mark(each, began) for each in seen if each.fault][:_MARKS],
        "tests": _by_wait(operations),
    }


def _seconds(
    operations: Sequence[OperationRecord], seen: Sequence[LoggedRequest], began: float
) -> float:
    ends = [record.start + record.waited + record.duration for record in operations]
    return max(ends + [each.ended for each in seen], default=began) - began


def _operation(record: OperationRecord, began: float) -> dict[str, Any]:
    return {**asdict(record), "start": round(record.start - began, 9)}


def _mark(request: LoggedRequest, began: float) -> dict[str, Any]:
    return {
        "at": round(request.started - began, 9),
        "worker": request.worker,
        "what": f"{request.method} {request.path}",
        "status": request.status,
        "throttled": request.throttled,
        "fault": request.fault,
    }


def _by_wait(operations: Iterable[OperationRecord]) -> list[dict[str, Any]]:
    """The tests that waited longest for slots, with their operations and bytes."""
    tests: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"waited": 0.0, "operations": 0, "seconds": 0.0, "transferred": 0}
    )
    for record in operations:
        test = tests[record.test]
        test["waited"] += record.waited
        test["operations"] += 1
        test["seconds"] += record.duration
        test["transferred"] += record.transferred
    listed = ({"test": name, **values} for name, values in tests.items())
    return sorted(listed, key=lambda each: (-each["waited"], -each["seconds"]))[:_TESTS]
