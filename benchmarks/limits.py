"""Our slots beside three other semaphores that survive a crash, in one run on this machine.

    python -m benchmarks.limits [--short] [--json PATH]

Figures in milliseconds and microseconds depend on the machine; the ratios between the columns, and
to the ideal schedule, are what the bars of the project stand on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import resource
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.semaphores import (
    OURS,
    PEERS,
    PORTALOCKER,
    REFERENCE,
    OurSlots,
    Peer,
    Semaphore,
    opened,
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What many processes at one semaphore measured; seconds where nothing else is said."""

    makespan_ratio: float
    longest_to_mean_wait: float
    cores: float


def fork(work: Callable[[Connection], None]) -> tuple[int, Connection]:
    """Run `work` in a forked process; gives its id and our end of a pipe to it."""
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        ours.close()
        work(theirs)
    finally:
        os._exit(0)


def uncontended(open_one: Callable[[], Semaphore], rounds: int) -> float:
    """Microseconds for one acquire and release, of the best of ten batches: others only add."""
    semaphore = open_one()
    semaphore.acquire()
    semaphore.release()
    batches = []
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(rounds // 10):
            semaphore.acquire()
            semaphore.release()
        batches.append((time.perf_counter() - begin) / (rounds // 10))
    return min(batches) * 1e6


def crowd(peer: Peer, count: int, processes: int, hold: float, turns: int) -> Crowd:
    """Let many processes take turns at once, each `turns` times for `hold` seconds."""
    with opened(peer, count) as open_one:

        def work(pipe: Connection) -> None:
            semaphore = open_one()
            semaphore.acquire()  # what a process pays once is not what waiting costs
            semaphore.release()
            pipe.send("ready")
            pipe.recv()
            before, waits = resource.getrusage(resource.RUSAGE_SELF), []
            for _ in range(turns):
                asked = time.monotonic()
                semaphore.acquire()
                waits.append(time.monotonic() - asked)
                time.sleep(hold)
                semaphore.release()
            after = resource.getrusage(resource.RUSAGE_SELF)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            pipe.send((time.monotonic(), waits, cpu))

        children = [fork(work) for _ in range(processes)]
        for _, pipe in children:
            pipe.recv()
        begin = time.monotonic()
        for _, pipe in children:
            pipe.send("go")
        results = [pipe.recv() for _, pipe in children]
        for pid, pipe in children:
            pipe.close()
            os.waitpid(pid, 0)
    makespan = max(end for end, _, _ in results) - begin
    waits = [wait for _, waits, _ in results for wait in waits]
    return Crowd(
        makespan / (processes * turns * hold / count),
        max(waits) / statistics.mean(waits),
        sum(cpu for _, _, cpu in results) / makespan,
    )


def _waiter(open_one: Callable[[], Semaphore]) -> Callable[[Connection], None]:
    def work(pipe: Connection) -> None:
        semaphore = open_one()
        pipe.send("asking")
        semaphore.acquire()
        pipe.send(time.monotonic())
        with contextlib.suppress(EOFError):
            pipe.recv()
        semaphore.release()

    return work


def after_kill(peer: Peer) -> float:
    """Milliseconds from the SIGKILL of the only holder until a waiter holds."""
    with opened(peer, 1) as open_one:
        holder, holder_pipe = fork(_waiter(open_one))
        holder_pipe.recv(), holder_pipe.recv()
        waiter, waiter_pipe = fork(_waiter(open_one))
        waiter_pipe.recv()
        time.sleep(0.1)
        killed = time.monotonic()
        os.kill(holder, signal.SIGKILL)
        held = waiter_pipe.recv()
        for pid, pipe in ((holder, holder_pipe), (waiter, waiter_pipe)):
            pipe.close()
            os.waitpid(pid, 0)
    return float(held - killed) * 1000


def behind_stopped(peer: Peer) -> float:
    """Seconds from a release until the second waiter holds while the first one is stopped."""
    with opened(peer, 1) as open_one:
        semaphore = open_one()
        semaphore.acquire()
        first, first_pipe = fork(_waiter(open_one))
        first_pipe.recv()
        time.sleep(0.1)
        second, second_pipe = fork(_waiter(open_one))
        second_pipe.recv()
        time.sleep(0.1)
        os.kill(first, signal.SIGSTOP)
        released = time.monotonic()
        semaphore.release()
        held = second_pipe.recv() if second_pipe.poll(3) else released + float("inf")
        os.kill(first, signal.SIGKILL)
        for pid, pipe in ((first, first_pipe), (second, second_pipe)):
            pipe.close()
            os.waitpid(pid, 0)
    return float(held - released)


def overshoot(peer: Peer) -> float:
    """Milliseconds by which a time limit of 0.2 s was passed."""
    with opened(peer, 1) as open_one:
        holder, pipe = fork(_waiter(open_one))
        pipe.recv(), pipe.recv()
        semaphore = open_one()
        begin = time.monotonic()
        assert not semaphore.acquire(timeout=0.2)
        over = time.monotonic() - begin - 0.2
        pipe.close()
        os.waitpid(holder, 0)
    return over * 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, for each peer, and ours against the bar."""

    what: str
    bar: str
    met: bool
    figures: dict[str, float]


def crowd_rows(hold: float, count: int, turns: int, bar: float) -> list[Row]:
    """The table's lines for one crowd of 64 processes."""
    results = {peer.name: crowd(peer, count, 64, hold, turns) for peer in PEERS}
    ours, reference = results[OURS.name], results[REFERENCE.name]
    name = f"64 processes, {count} slots, {hold * 1000:.0f} ms holds"
    spans = {peer: result.makespan_ratio for peer, result in results.items()}
    rows = [
        Row(
            f"{name}: makespan / ideal",
            f"{bar}, and 1.05 x System V",
            ours.makespan_ratio <= min(bar, 1.05 * reference.makespan_ratio),
            spans,
        ),
        Row(
            f"{name}: longest / mean wait",
            "2",
            ours.longest_to_mean_wait <= 2,
            {peer: result.longest_to_mean_wait for peer, result in results.items()},
        ),
    ]
    cores = {peer: result.cores for peer, result in results.items()}
    limit = 0.1 if hold >= 0.1 else float("inf")
    rows.append(Row(f"{name}: cores used", f"{limit:g}", ours.cores <= limit, cores))
    return rows


def single_rows(rounds: int) -> list[Row]:
    """The table's lines for one or two processes; each figure is a median."""
    cost = {}
    for peer in (Peer("ours", OurSlots), *PEERS[1:]):
        with opened(peer, 10) as open_one:
            cost[peer.name] = uncontended(open_one, rounds)
    half = 0.5 * cost[PORTALOCKER.name]
    met = cost[OURS.name] <= min(20, half)
    with opened(OURS, 10) as open_one:
        whole = {OURS.name: uncontended(open_one, rounds)}
    kills = {peer.name: _median(after_kill, peer, 11) for peer in PEERS}
    stops = {peer.name: _median(behind_stopped, peer, 3) for peer in (OURS,)}
    over = {peer.name: _median(overshoot, peer, 5) for peer in PEERS}
    return [
        Row("acquire + release, us", "20, and half of portalocker", met, cost),
        Row("the same through limits.pull(), us", "-", True, whole),
        Row("SIGKILL until the next holds, ms", "20", kills[OURS.name] <= 20, kills),
        Row("behind a stopped first waiter, s", "1", stops[OURS.name] <= 1, stops),
        Row("a time limit is passed by, ms", "10", over[OURS.name] <= 10, over),
    ]


def _median(measure: Callable[[Peer], float], peer: Peer, times: int) -> float:
    return statistics.median(measure(peer) for _ in range(times))


def table(rows: list[Row]) -> str:
    """The rows as text; bars are upper bounds."""
    names = [peer.name for peer in PEERS]
    lines = [f"{'':52} {'bar':>28} " + " ".join(f"{name:>15}" for name in names)]
    for row in rows:
        cells = [
            f"{row.figures[name]:15.2f}" if name in row.figures else f"{'-':>15}" for name in names
        ]
        lines.append(
            f"{row.what:52} {row.bar:>28} " + " ".join(cells) + ("" if row.met else "  MISSED")
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and say by the exit code whether every bar was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a quarter of the work")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there as well")
    arguments = parser.parse_args()
    logging.getLogger("filelock").setLevel(logging.WARNING)
    scale = 1 if arguments.short else 4
    rows = [
        *single_rows(2_000 * scale),
        *crowd_rows(0.1, 10, 2 * scale, 1.05),
        *crowd_rows(0.02, 10, 6 * scale, 1.10),
        *crowd_rows(0.02, 5, 3 * scale, 1.10),
    ]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
