"""The lines of the terminal summary, from the figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_registry.report.model import KindFigures, TrafficFigures

_STEP = 1000


def summary_lines(figures: Iterable[KindFigures]) -> list[str]:
    """One line per kind of operation that ran or was waited for; none in a run without any."""
    return [", ".join(_parts(each)) for each in figures if each.operations or each.timed_out]


def traffic_line(traffic: TrafficFigures) -> str:
    """What reached the registry, in one line; empty if nothing did."""
    if not traffic.requests:
        return ""
    size = f"{readable_bytes(traffic.bytes_in)} in, {readable_bytes(traffic.bytes_out)} out"
    parts = [_counted(traffic.requests, "request"), size]
    if traffic.throttled:
        parts.append(f"{traffic.throttled} throttled")
    if traffic.faulty:
        parts.append(f"{traffic.faulty} faulty")
    return ", ".join(parts)


def readable_bytes(count: float) -> str:
    """Bytes for people, in steps of 1,000 as registries show them: 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < _STEP:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} TB"


def _parts(each: KindFigures) -> Iterator[str]:
    yield _counted(each.operations, each.kind)
    if each.failed:
        yield f"{each.failed} failed"
    if each.timed_out:
        yield f"{each.timed_out} got no slot in time"
    if each.transferred:
        yield readable_bytes(each.transferred)
    limit = "no limit" if each.limit is None else f"limit {each.limit}"
    yield f"at most {each.peak} at once ({limit})"
    if each.waited:
        where = f" in {each.longest_wait_test}" if each.longest_wait_test else ""
        yield f"waited {each.waited:.1f} s in all, {each.longest_wait:.1f} s at longest{where}"


def _counted(count: int, kind: str) -> str:
    plural = {"pull": "pulls", "push": "pushes"}.get(kind, f"{kind}s")
    return f"{count} {kind if count == 1 else plural}"
