"""What it costs to share one registry: `python -m benchmarks.sharing [--short] [--json PATH]`.

Eight workers start one registry, attaching to it is cheap, and its keeper and guardian are small
and idle. `benchmarks.suite` has the time of a suite of 200 tests with 1 to 8 workers.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Fact, Result, Row, arguments, in_turn, report
from benchmarks.sessions import EMBEDDED, environment

ATTACH_BAR = 0.05
"""At most 5 ms where a start of the embedded registry takes 100: a time cannot be a bar."""

TESTS = """
import json, time
from pathlib import Path
import pytest
from pytest_registry.fixtures import member_of
from pytest_registry.sharing.attach import attach

def test_attach(registry, request):
    run = member_of(request.config).run
    attach(run, print)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        endpoint = attach(run, print)
        took.append(time.perf_counter() - began)
    told = {"directory": str(run.directory), "took": took, "start": endpoint.start_seconds,
            "starts": [run.state.stat().st_mtime_ns, registry.url]}
    Path(f"told-{request.config.workerinput['workerid']}").write_text(json.dumps(told))
    end = time.monotonic() + 30
    while not Path("go").exists() and time.monotonic() < end:
        time.sleep(0.05)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run: its one start's and a median attach's seconds, and the keepers' figures."""

    starts: int
    start: float
    attach: float
    keepers: int
    megabytes: tuple[float, ...]
    idle_ticks: int


def run(workers: int, idle: float) -> Outcome:
    """Run a suite with a test in each worker, and watch its keepers for `idle` seconds."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        (directory / "test_attach.py").write_text(TESTS)
        command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", *EMBEDDED.options]
        command += [f"--registry-state-dir={name}/state", "--dist=each", f"-n{workers}"]
        with (directory / "output").open("w") as output:
            process = subprocess.Popen(
                command, cwd=directory, env=environment(), stdout=output, stderr=output
            )
        try:
            told = _told(directory, process, workers)
            pids = _keepers(told[0]["directory"])
            megabytes = tuple(sorted(_resident(pid) for pid in pids))
            before = sum(map(_ticks, pids))
            time.sleep(idle)
            ticks = sum(map(_ticks, pids)) - before
        finally:
            (directory / "go").touch()
            process.wait()
    attach = statistics.median(each for one in told for each in one["took"])
    starts = len({tuple(one["starts"]) for one in told})
    return Outcome(starts, told[0]["start"], attach, len(pids), megabytes, ticks)


def _told(directory: Path, process: subprocess.Popen[bytes], workers: int) -> list[dict[str, Any]]:
    """What all workers have told, once they have."""
    while len(told := list(directory.glob("told-*"))) < workers:
        if process.poll() is not None:
            raise RuntimeError((directory / "output").read_text()[-3000:])
        time.sleep(0.05)
    time.sleep(1.0)  # the keeper sweeps after its start
    return [json.loads(path.read_text()) for path in told]


def _keepers(directory: str) -> list[int]:
    """The processes that keep the run's registry."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "pytest_registry.sharing.keeper" in words and directory in words:
            found.append(int(entry.name))
    return found


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def measure(*, short: bool) -> Result:
    """All figures: 8 workers beside 1."""
    times, idle = (3, 1.0) if short else (5, 5.0)
    found = in_turn(times, many=lambda: run(8, idle), one=lambda: run(1, idle))
    many = found["many"]
    starts, alone = [each.start for each in many], [each.start for each in found["one"]]
    attaches = [each.attach * 1000 for each in many]
    what = "start of the registry, 8 workers"
    rows = [
        Row(what, "s", starts, "1 worker", alone),
        Row(what, "s", starts, "8 starts, one after the other", [8 * each for each in alone], 1.0),
        Row("attaching", "ms", attaches, "a start", [each * 1000 for each in alone], ATTACH_BAR),
    ]

    def most(what: str, unit: str, figures: Iterable[float], **limit: float) -> Fact:
        return Fact(what, unit, max(figures), rounds=times, **limit)

    facts = [
        most("8 workers: registries started", "registries", (e.starts for e in many), at_most=1),
        most("8 workers: keeper and guardian", "processes", (e.keepers for e in many), at_most=2),
        Fact("attaching costs a worker", "ms", statistics.median(attaches), goal=5, rounds=times),
        most("the guardian's memory", "MB", (each.megabytes[0] for each in many)),
        most("the keeper's memory, embedded", "MB", (each.megabytes[-1] for each in many)),
        most(f"CPU of both in {idle:g} idle s", "ticks", (e.idle_ticks for e in many), goal=0),
    ]
    return Result("One registry for all workers", rows, facts)


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    return report(measure(short=asked.short), asked.json)


if __name__ == "__main__":
    sys.exit(main())
