"""Figures of a run, from its records: pure, and all that any report shows is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_registry.report.records import OperationRecord
from pytest_registry.report.traffic import LoggedRequest


@dataclass(frozen=True, slots=True)
class KindFigures:
    """What all operations of one kind did together.

    `limit` is None where there was none; `peak` is how many ran at once at most. `waited` and
    `longest_wait` are in seconds, `longest_wait_test` is the test that waited so long (or empty).
    """

    kind: str
    operations: int
    failed: int
    timed_out: int
    transferred: int
    peak: int
    limit: int | None
    waited: float
    longest_wait: float
    longest_wait_test: str


@dataclass(frozen=True, slots=True)
class TrafficFigures:
    """What reached the registry: counts of requests, and the bytes of their bodies."""

    requests: int
    throttled: int
    faulty: int
    bytes_in: int
    bytes_out: int


def traffic_figures(requests: Iterable[LoggedRequest]) -> TrafficFigures:
    """The figures of all requests."""
    count = throttled = faulty = bytes_in = bytes_out = 0
    for each in requests:
        count += 1
        throttled += each.throttled
        faulty += bool(each.fault) and not each.throttled
        bytes_in += each.bytes_in
        bytes_out += each.bytes_out
    return TrafficFigures(count, throttled, faulty, bytes_in, bytes_out)


def figures(
    records: Iterable[OperationRecord], limits: Mapping[str, int | None]
) -> list[KindFigures]:
    """The figures of each kind in `limits` (its limit, or None), in that order."""
    listed = list(records)
    return [
        _of_kind(kind, limit, [record for record in listed if record.kind == kind])
        for kind, limit in limits.items()
    ]


def peak_concurrency(records: Iterable[OperationRecord]) -> int:
    """How many of the operations ran at the same moment, at most.

    One that ends at the moment at which another begins does not run beside it.
    """
    changes = []
    for record in records:
        if record.held_a_slot:
            began = record.start + record.waited
            changes += [(began, 1), (began + record.duration, -1)]
    running = peak = 0
    for _, change in sorted(changes):  # of equal times the end comes first
        running += change
        peak = max(peak, running)
    return peak


def _of_kind(kind: str, limit: int | None, records: Sequence[OperationRecord]) -> KindFigures:
    longest = max(records, key=lambda record: record.waited, default=None)
    return KindFigures(
        kind=kind,
        operations=sum(record.held_a_slot for record in records),
        failed=sum(record.outcome == "failed" for record in records),
        timed_out=sum(record.outcome == "timeout" for record in records),
        transferred=sum(record.transferred for record in records),
        peak=peak_concurrency(records),
        limit=limit,
        waited=sum(record.waited for record in records),
        longest_wait=0.0 if longest is None else longest.waited,
        longest_wait_test="" if longest is None else longest.test,
    )
