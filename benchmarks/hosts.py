"""1, 10 and 100 hosts of 8 workers at one registry's limits of 10 and 5, kept by a real Redis.

    python -m benchmarks.hosts [--short] [--json PATH]

A host is a client of Redis with its own connections and heart-beat, and eight threads that ask for
a slot, hold it for a while (asleep: the registry's part), and ask again. Needs redis-server.
The makespan is beside the ideal schedule's, a free slot taken at once, of the same round's holds.
"""

from __future__ import annotations

import heapq
import multiprocessing
import multiprocessing.pool
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
"""Hosts; a hundred of them on one machine's cores measure that machine: told, not judged."""

ROUNDS, SHORT_ROUNDS = 5, 3
HOLD = 0.2
"""Seconds that an operation lasts."""

START = 1.0
"""Seconds in which all threads of a round are there."""

Pool = multiprocessing.pool.Pool


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


def simulate(plan: Plan, url: str, pool: Pool) -> list[Operation]:
    """All hosts at once."""
    shares = [list(range(first, plan.hosts, PROCESSES)) for first in range(PROCESSES)]
    start = time.monotonic() + START
    work = [(plan, url, share, start) for share in shares if share]
    return [each for one in pool.starmap(hosts_of_process, work, chunksize=1) for each in one]


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


@dataclass(frozen=True, slots=True)
class Round:
    """What one simulation took: times in seconds, Redis' commands and processor seconds."""

    done: list[Operation]
    makespan: float
    ideal: float
    commands: int
    cpu: float

    @property
    def waits(self) -> list[float]:
        """From asking to beginning."""
        return [each.begun - each.asked for each in self.done]


def one_round(plan: Plan, url: str, pool: Pool) -> Round:
    """Simulate once."""
    import redis

    with redis.Redis.from_url(url) as client:
        before = client.info()
        done = simulate(plan, url, pool)
        after = client.info()
    return Round(
        done,
        makespan=max(each.ended for each in done) - min(each.asked for each in done),
        ideal=ideal_seconds(done, min(LIMITS[plan.kind], plan.hosts * WORKERS)),
        commands=after["total_commands_processed"] - before["total_commands_processed"],
        cpu=sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys")),
    )


def measured(plan: Plan, rounds: list[Round]) -> tuple[Row, list[Fact]]:
    """One plan's figures: the median of the rounds', but the most that were ever at once."""
    limit = LIMITS[plan.kind]
    name = f"{plan.hosts} hosts x {WORKERS}, {plan.kind} limit {limit}"
    count = len(rounds)
    bar = 1.10 if plan.hosts <= MOST_JUDGED else None
    makespans, ideals = [each.makespan for each in rounds], [each.ideal for each in rounds]
    row = Row(f"{name}: makespan", "s", makespans, "ideal schedule", ideals, bar)

    def fact(what: str, unit: str, of: Callable[[Round], float]) -> Fact:
        return Fact(f"{name}: {what}", unit, statistics.median(map(of, rounds)), rounds=count)

    most = max(most_at_once(each.done) for each in rounds)
    per_second = "operations/s"
    return row, [
        Fact(f"{name}: at once", "operations", most, at_most=limit, rounds=count),
        fact("throughput", per_second, lambda one: len(one.done) / one.makespan),
        fact("mean wait", "s", lambda one: statistics.mean(one.waits)),
        fact("longest wait", "s", lambda one: max(one.waits)),
        fact("fairness between hosts (Jain)", "", lambda one: fairness(one.done)),
        fact(
            "Redis commands, scripts' own included",
            "per operation",
            lambda one: one.commands / len(one.done),
        ),
        fact("Redis", "cores", lambda one: one.cpu / one.makespan),
    ]


def plans(*, short: bool) -> Iterator[tuple[Plan, int]]:
    """What to simulate, and how often."""
    times = {1: (6, 6), 10: (2, 1)} if short else {1: (20, 20), 10: (6, 6), 100: (2, 1)}
    for hosts, each in times.items():
        for kind, number in zip(LIMITS, each, strict=True):
            yield Plan(hosts, kind, number, HOLD), SHORT_ROUNDS if short else ROUNDS


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
    """Use Redis before: a new one lets nobody in for the longest lease."""
    for kind in LIMITS:
        slots = RedisSlots(url, REGISTRY, lease=0.5)
        slots.leases.longest = 0.5
        limits = Limits(slots, LimitPolicy(timeout=30))
        with limits.pull() if kind == "pull" else limits.push():
            pass


def measure(simulated: Callable[[Plan], Round], *, short: bool) -> Result:
    """All figures; the ideal schedule is that of the same round's holds, so nothing is in turn."""
    rows: list[Row] = []
    facts: list[Fact] = []
    for plan, rounds in plans(short=short):
        row, more = measured(plan, [simulated(plan) for _ in range(rounds)])
        rows.append(row)
        facts += more
    return Result("Hosts that share limits by a Redis", rows, facts)


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    with redis_server() as url, multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        warm(url)
        simulate(Plan(PROCESSES, "pull", 1, 0.0), url, pool)  # imports what it needs
        result = measure(lambda plan: one_round(plan, url, pool), short=asked.short)
    return report(result, asked.json)


if __name__ == "__main__":
    raise SystemExit(main())
