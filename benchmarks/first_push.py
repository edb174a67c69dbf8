"""From spawning pytest to an nginx that was pushed: `python -m benchmarks.first_push`.

Cold: no registry runs. Warm: one that an earlier run kept, with the image in it; the peers have no
such thing, so they start anew. With 8 workers the figure ends when the last of them has its
image: ours share one registry and one push, the peers' session fixtures are made in every worker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.measure import Result, Row, arguments, in_turn, report
from benchmarks.sessions import (
    BY_HAND,
    CONTAINER,
    EMBEDDED,
    TESTCONTAINERS,
    Peer,
    docker_registry_fixtures,
    has_engine,
    kept_registry,
    session,
)

WORKERS = 8

NOT_WITH_WORKERS = f"""\
With {WORKERS} workers two peers are not measurable here:
testcontainers puts its accounts into a container that runs already; when the registry is quicker
and makes a file of its own, the login is refused until the wait of 120 s is over (7 of 8 workers).
pytest-docker-registry-fixtures has one name for the container of all workers: those that do not
start it fail, or wait 30 s in vain (7 of 8 workers; another time all had it, after 26 s)."""


def until_pushed(peer: Peer, workers: int) -> Callable[[], float]:
    """Seconds until every worker has its image."""
    return lambda: session(peer, "nginx", workers).last


# At most this part of the peer's time. With several workers a peer pushes, and starts a container,
# once per worker.
ALONE = {"embedded": 1.3, "container": 1.8, "warm": 0.9}
TOGETHER = {"embedded": 0.8, "container": 0.8, "warm": 0.6}


def measured(workers: int, times: int, own: Mapping[str, Peer], peers: Sequence[Peer]) -> list[Row]:
    """The rows for so many workers."""
    bars = TOGETHER if workers > 1 else ALONE
    measures = {name: until_pushed(peer, workers) for name, peer in own.items()}
    measures |= {peer.module: until_pushed(peer, workers) for peer in peers}
    figures = in_turn(times, **measures)
    name = f"{workers} worker{'s' if workers > 1 else ''}"
    return [
        Row(f"{name}, {how}", "s", figures[how], peer.name, figures[peer.module], bars[how])
        for peer in peers
        for how in own
    ]


def measure(*, short: bool) -> Result:
    """All figures beside the peers'."""
    fixtures = docker_registry_fixtures()
    session(fixtures, "nginx")  # it writes the byte code
    peers = [BY_HAND, fixtures] + ([] if short else [TESTCONTAINERS])
    times, workers = (3, 4) if short else (5, WORKERS)
    with kept_registry(CONTAINER) as kept:
        own = {"embedded": EMBEDDED, "container": CONTAINER, "warm": kept}
        if short:  # benchmarks.start has the container
            del own["container"]
        rows = measured(1, times, own, peers)
        rows += measured(workers, times, own, (BY_HAND,))
    return Result("First pushed nginx", rows)


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    if not has_engine():
        print("no docker engine with the images of tools/engine answers", file=sys.stderr)
        return 2
    result = measure(short=asked.short)
    print(NOT_WITH_WORKERS)
    return report(result, asked.json)


if __name__ == "__main__":
    sys.exit(main())
