"""From spawning pytest to an nginx that was pushed: `python -m benchmarks.first_push`.

Cold: no registry runs. Warm: one that an earlier run kept, with the image in it; the peers have no
such thing, so they start anew. With 8 workers the figure ends when the last of them has its
image: ours share one registry and one push, the peers' session fixtures are made in every worker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.measure import Result, Row, arguments, in_turn, report
from benchmarks.sessions import (
    BY_HAND,
    CONTAINER,
    EMBEDDED,
    TESTCONTAINERS,
    Peer,
    has_engine,
    kept_registry,
    session,
)

WORKERS = 8


def until_pushed(peer: Peer, workers: int) -> Callable[[], float]:
    """Seconds until every worker has its image."""
    return lambda: session(peer, "nginx", workers).last


def measured(workers: int, times: int, kept: Peer, *, with_testcontainers: bool) -> list[Row]:
    """The rows for so many workers."""
    measures = {
        "embedded": until_pushed(EMBEDDED, workers),
        "container": until_pushed(CONTAINER, workers),
        "warm": until_pushed(kept, workers),
        "by_hand": until_pushed(BY_HAND, workers),
    }
    if with_testcontainers:
        measures["testcontainers"] = until_pushed(TESTCONTAINERS, workers)
    figures = in_turn(times, **measures)
    plural = "s" if workers > 1 else ""
    # A peer pushes once per worker, and one registry container per worker is started at once.
    bars = {"embedded": 1.3, "container": 1.8, "warm": 0.9}
    if workers > 1:
        bars = {"embedded": 0.8, "container": 0.8, "warm": 0.6}
    rows = []
    for name, peer in (("by_hand", BY_HAND), ("testcontainers", TESTCONTAINERS)):
        for own, bar in bars.items():
            if name in figures:
                what = f"{workers} worker{plural}, {own}"
                rows.append(Row(what, "s", figures[own], peer.name, figures[name], bar))
    return rows


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    if not has_engine():
        print("no docker engine with the images of tools/engine answers", file=sys.stderr)
        return 2
    with kept_registry(CONTAINER) as kept:
        rows = measured(1, 2 if asked.short else 5, kept, with_testcontainers=not asked.short)
        more = 1 if asked.short else 5
        rows += measured(WORKERS, more, kept, with_testcontainers=False)
    print(
        f"testcontainers with {WORKERS} workers: not measurable here. It puts its accounts into a"
        " container that runs already; when the registry is quicker and makes a file of its own,"
        " the login is refused until the wait of 120 s is over (7 of 8 workers, seen).\n"
        "pytest-docker-registry-fixtures: not measurable here. It calls `docker compose`, which"
        " Debian's docker does not have, and its secure registry fails with today's pyOpenSSL."
    )
    return report(Result("First pushed nginx", rows), asked.json)


if __name__ == "__main__":
    sys.exit(main())
