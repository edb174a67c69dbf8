"""What a registry sees of the limits: it counts, and nobody asks us."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from pytest_registry.server import (
    RegistryServer,
    Request,
    RequestRecord,
    Response,
    ServerSettings,
)
from pytest_registry.server.settings import Proceed
from tests.conftest import PYTEST

SUITE = Path(__file__).parent / "suites" / "push_and_pull.py"
DELAY = {"blob": 0.2, "upload": 0.05}
"""Seconds that requests of a route take at least, so that operations overlap."""


class Counter:
    """A registry that writes down when each of its requests came and went."""

    def __init__(self) -> None:
        self.requests: list[RequestRecord] = []
        self._lock = threading.Lock()

    def see(self, record: RequestRecord) -> None:
        with self._lock:
            self.requests.append(record)

    def slowly(self, request: Request, proceed: Proceed) -> Response:
        time.sleep(DELAY.get(request.route, 0.0))
        return proceed(request)

    def peak(self, *, pulls: bool) -> int:
        """The most operations at once: one is all requests of its kind to one repository.

        A push ends with its manifest's PUT; pulls are all that fetches blobs, and what
        else comes later is the run's clean-up.
        """
        spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        ends = {
            record.repository: record.started
            for record in self.requests
            if record.method == "PUT" and record.route.startswith("manifest")
        }
        for record in self.requests:
            pushed_at = ends.get(record.repository)
            fetched = record.method == "GET" and record.route == "blob"
            if pushed_at is not None and (fetched if pulls else record.started <= pushed_at):
                spans[record.repository].append((record.started, record.started + record.seconds))
        return most_at_once((min(a)[0], max(b for _, b in a)) for a in spans.values())


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """How many of the spans share a moment at most."""
    steps = sorted(step for begin, end in spans for step in ((begin, 1), (end, -1)))
    return max(itertools.accumulate(change for _, change in steps))


def test_eight_workers_never_pass_ten_pulls_and_five_pushes_and_do_reach_them(
    tmp_path: Path,
) -> None:
    counter = Counter()
    settings = ServerSettings(observer=counter.see, interceptor=counter.slowly)
    with RegistryServer(settings) as server:
        ran = subprocess.run(
            [
                *(*PYTEST, "-q", "-n", "8", "-p", "no:cacheprovider"),
                *("--import-mode=importlib", f"--registry-url={server.url}"),
                *(f"--registry-state-dir={tmp_path / 'state'}", str(SUITE)),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    # Never more by what the registry saw; that all were in use is what the slots' own times say: a
    # pull has its slot before the registry sees it.
    assert 2 < counter.peak(pulls=False) <= 5
    assert 5 < counter.peak(pulls=True) <= 10
    assert "at most 5 at once (limit 5)" in ran.stdout
    assert "at most 10 at once (limit 10)" in ran.stdout


def test_the_counter_counts_what_overlaps() -> None:
    assert most_at_once([(0, 2), (1, 3), (2.5, 4), (5, 6)]) == 2
