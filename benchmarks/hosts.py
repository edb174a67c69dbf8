"""1, 10 and 100 hosts of 8 workers at one registry's limits of 10 and 5, kept by a real Redis.

    python -m benchmarks.hosts [--short] [--json PATH]

A host is a client of Redis with its own connections and heart-beat, and eight threads that ask for
a slot, hold it for a while (asleep: the registry's part), and ask again. Needs redis-server.
The makespan is beside the ideal schedule's, sum of holds / limit, of the same run.
"""

from __future__ import annotations

import heapq
import multiprocessing
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.measure import Fact, Result, Row, arguments, report
from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import Kind, LimitPolicy

REGISTRY = "registry.example"
LIMITS: dict[Kind, int] = {"pull": 10, "push": 5}
WORKERS = 8
PROCESSES = 4
"""Python runs one thread at a time: the hosts are spread over this many interpreters."""

MOST_JUDGED = 10


@dataclass(frozen=True, slots=True)
class Operation:
    """Monotonic seconds; `host` is its number."""

    host: int
    asked: float
    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated: `times` operations per worker that last `hold` seconds."""

    hosts: int
    kind: Kind
    times: int
    hold: float


def host(plan: Plan, url: str, number: int, start: float) -> list[Operation]:
    """One host's workers."""
    policy = LimitPolicy(LIMITS["pull"], LIMITS["push"], timeout=3600)
    limits = Limits(RedisSlots(url, REGISTRY), policy)
    turn = limits.pull if plan.kind == "pull" else limits.push

    def worker(_: int) -> list[Operation]:
        time.sleep(max(0.0, start - time.monotonic()))
        done = []
        for _ in range(plan.times):
            asked = time.monotonic()
            with turn():
                begun = time.monotonic()
                time.sleep(plan.hold)
                ended = time.monotonic()
            done.append(Operation(number, asked, begun, ended))
        return done

    with ThreadPoolExecutor(WORKERS) as workers:
        return [each for one in workers.map(worker, range(WORKERS)) for each in one]


def hosts_of_process(plan: Plan, url: str, numbers: list[int], start: float) -> list[Operation]:
    """Several hosts in one interpreter."""
    with ThreadPoolExecutor(len(numbers)) as threads:
        found = threads.map(lambda number: host(plan, url, number, start), numbers)
        return [each for one in found for each in one]


def simulate(plan: Plan, url: str) -> list[Operation]:
    """All hosts at once."""
    shares = [list(range(first, plan.hosts, PROCESSES)) for first in range(PROCESSES)]
    work = [share for share in shares if share]
    start = time.monotonic() + 3.0
    with multiprocessing.get_context("spawn").Pool(len(work)) as pool:
        found = pool.starmap(hosts_of_process, [(plan, url, share, start) for share in work])
    return [each for one in found for each in one]


def ideal_seconds(done: list[Operation], limit: int) -> float:
    """The makespan if a free slot were taken at once, for the holds as they were."""
    free = [0.0] * limit
    for each in sorted(done, key=lambda one: one.begun):
        heapq.heapreplace(free, free[0] + each.ended - each.begun)
    return max(free)


def most_at_once(done: list[Operation]) -> int:
    """How many held a slot at the same moment, at most."""
    events = [(each.begun, 1) for each in done] + [(each.ended, -1) for each in done]
    inside = most = 0
    for _, change in sorted(events):
        inside += change
        most = max(most, inside)
    return most


def fairness(done: list[Operation]) -> float:
    """Jain's index of what each host had been served at half time: 1 is the same for all."""
    half = statistics.median(each.ended for each in done)
    served = dict.fromkeys((each.host for each in done), 0)
    for each in done:
        served[each.host] += each.ended <= half
    counts = list(served.values())
    return sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))


def measured(plan: Plan, url: str) -> tuple[list[Row], list[Fact]]:
    """One plan's figures."""
    import redis

    limit = LIMITS[plan.kind]
    with redis.Redis.from_url(url) as client:
        before = client.info()
        done = simulate(plan, url)
        after = client.info()
    makespan = max(each.ended for each in done) - min(each.asked for each in done)
    waits = sorted(each.begun - each.asked for each in done)
    cpu = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    asked = after["total_commands_processed"] - before["total_commands_processed"]
    name = f"{plan.hosts} hosts x {WORKERS}, {plan.kind} limit {limit}"
    best = ideal_seconds(done, min(limit, plan.hosts * WORKERS))
    # A hundred hosts on one machine's cores measure that machine: told, not judged.
    bar = 1.10 if plan.hosts <= MOST_JUDGED else None
    row = Row(f"{name}: makespan", "s", [makespan], "ideal schedule", [best], bar)
    facts = [
        Fact(f"{name}: at once", "operations", most_at_once(done), at_most=limit),
        Fact(f"{name}: throughput", "operations/s", len(done) / makespan),
        Fact(f"{name}: mean wait", "s", statistics.mean(waits)),
        Fact(f"{name}: longest / mean wait", "", waits[-1] / max(statistics.mean(waits), 1e-9)),
        Fact(f"{name}: fairness between hosts (Jain)", "", fairness(done)),
        Fact(f"{name}: Redis commands, scripts' own included", "per operation", asked / len(done)),
        Fact(f"{name}: Redis", "cores", cpu / makespan),
    ]
    return [row], facts


@contextmanager
def redis_server() -> Iterator[str]:
    """A redis-server on a free loopback port; its address."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("benchmarks.hosts needs redis-server (Debian's package of that name)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        process = subprocess.Popen([*command, "--dir", directory], stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def warm(url: str) -> None:
    """Use Redis before: a new one lets nobody in for one lease."""
    for kind in LIMITS:
        limits = Limits(RedisSlots(url, REGISTRY, lease=0.5), LimitPolicy(timeout=30))
        with limits.pull() if kind == "pull" else limits.push():
            pass


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    rows: list[Row] = []
    facts: list[Fact] = []
    with redis_server() as url:
        warm(url)
        for hosts in (1, 10) if asked.short else (1, 10, 100):
            for kind in LIMITS:
                times = max(2, (40 if asked.short else 160) // hosts)
                new_rows, new_facts = measured(Plan(hosts, kind, times, hold=0.1), url)
                rows += new_rows
                facts += new_facts
    return report(Result("Hosts", rows, facts), asked.json)


if __name__ == "__main__":
    raise SystemExit(main())
