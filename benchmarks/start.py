"""From spawning pytest to a registry that has answered a login: `python -m benchmarks.start`.

Every session is a process of its own; the figure ends when the first test has the registry. The
last peer is no session: the same `docker run` and wait in this process, which has pytest's and all
imports' time in no figure.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def until_login(peer: Peer) -> float:
    """Seconds until a test has a registry that answered a login."""
    return session(peer, "login").first


def plain_docker_run() -> float:
    """Seconds from spawning `docker run` until the registry answers a login."""
    from benchmarks.peers import by_hand

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        accounts = by_hand.accounts_file(Path(name))
        begun = time.monotonic()
        container = by_hand.run_registry(accounts)
        try:
            by_hand.wait_for_login(by_hand.host_of(container))
            return time.monotonic() - begun
        finally:
            subprocess.run(
                ["docker", "rm", "--force", "--volumes", container], check=True, capture_output=True
            )


def measure(*, short: bool) -> Result:
    """All figures beside the peers'."""
    with kept_registry(CONTAINER) as kept:
        figures = in_turn(
            3 if short else 7,
            embedded=lambda: until_login(EMBEDDED),
            container=lambda: until_login(CONTAINER),
            kept=lambda: until_login(kept),
            by_hand=lambda: until_login(BY_HAND),
            testcontainers=lambda: until_login(TESTCONTAINERS),
            plain=plain_docker_run,
        )

    def row(what: str, own: str, peer: str, theirs: str, bar: float | None = None) -> Row:
        return Row(what, "s", figures[own], peer, figures[theirs], bar)

    rows = [
        row("embedded", "embedded", BY_HAND.name, "by_hand", 1.2),
        row("embedded", "embedded", TESTCONTAINERS.name, "testcontainers", 0.9),
        row("container", "container", BY_HAND.name, "by_hand", 2.3),
        row("container", "container", TESTCONTAINERS.name, "testcontainers", 1.0),
        row("container", "container", "`docker run` without a pytest session", "plain"),
        row("a container kept by an earlier run", "kept", BY_HAND.name, "by_hand", 1.2),
    ]
    return Result("Start of a session until a login is answered", rows)


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    if not has_engine():
        print("no docker engine with the images of tools/engine answers", file=sys.stderr)
        return 2
    return report(measure(short=asked.short), asked.json)


if __name__ == "__main__":
    sys.exit(main())
