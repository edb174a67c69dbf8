"""Our slots beside three other semaphores that survive a crash, in one run on this machine.

    python -m benchmarks.limits [--short] [--json PATH]

Figures in milliseconds and microseconds depend on the machine; the ratios between the columns, and
to the ideal schedule, are what the bars of the project stand on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.measure import Fact, Result, Row, arguments, in_turn, report
from benchmarks.semaphores import (
    OURS,
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


CROWDS = {
    # (processes, slots, seconds of a hold, turns of each): the bar for the makespan / ideal
    (2, 1, 0.02, 12): None,
    (8, 5, 0.02, 12): None,
    (64, 5, 0.02, 3): 1.10,
    (64, 10, 0.02, 6): 1.10,
    (64, 10, 0.1, 2): 1.05,
}
SHORT_CROWDS = ((8, 5, 0.02, 12), (64, 10, 0.02, 6))


def crowd_rows(shape: tuple[int, int, float, int], times: int) -> list[Row]:
    """The rows for one crowd: against the ideal schedule, the kernel's semaphore, portalocker."""
    processes, count, hold, turns = shape
    peers = {"ours": OURS, "reference": REFERENCE, "portalocker": PORTALOCKER}
    results = in_turn(
        times,
        **{of: partial(crowd, peer, count, processes, hold, turns) for of, peer in peers.items()},
    )
    name = f"{processes} processes, {count} slots of {hold * 1000:.0f} ms"
    spans = {of: [each.makespan_ratio for each in found] for of, found in results.items()}
    longest = [each.longest_to_mean_wait for each in results["ours"]]
    theirs = [each.longest_to_mean_wait for each in results["portalocker"]]
    bar = CROWDS[shape]
    span, wait = f"{name}: makespan / ideal", f"{name}: longest / mean wait"
    return [
        Row(span, "x", spans["ours"], "the ideal schedule", [1.0], bar),
        Row(span, "x", spans["ours"], "System V", spans["reference"], 1.1),
        Row(span, "x", spans["ours"], PORTALOCKER.name, spans["portalocker"], 1.0),
        Row(wait, "x", longest, "the mean", [1.0], 2.0 if processes == 64 else None),
        Row(wait, "x", longest, PORTALOCKER.name, theirs),
    ]


def cost_rows(rounds: int, times: int) -> list[Row]:
    """What a slot costs that nobody else wants."""

    def cost(peer: Peer) -> Callable[[], float]:
        def measure() -> float:
            with opened(peer, 10) as open_one:
                return uncontended(open_one, rounds)

        return measure

    figures = in_turn(
        times,
        slot=cost(Peer("ours", OurSlots)),
        whole=cost(OURS),
        portalocker=cost(PORTALOCKER),
        reference=cost(REFERENCE),
    )
    slot, whole, theirs = figures["slot"], figures["whole"], figures["portalocker"]
    return [
        Row("acquire and release a slot", "us", slot, PORTALOCKER.name, theirs, 0.5),
        Row("acquire and release a slot", "us", slot, "System V", figures["reference"]),
        Row("the whole of limits.pull()", "us", whole, PORTALOCKER.name, theirs),
    ]


def death_rows(times: int) -> list[Row]:
    """How soon others go on after a death, and how well a time limit is kept."""
    kill = in_turn(
        times, ours=lambda: after_kill(OURS), portalocker=lambda: after_kill(PORTALOCKER)
    )
    over = in_turn(times, ours=lambda: overshoot(OURS), portalocker=lambda: overshoot(PORTALOCKER))
    name = PORTALOCKER.name
    return [
        Row("SIGKILL until the next holds", "ms", kill["ours"], name, kill["portalocker"], 0.5),
        Row("a time limit is passed by", "ms", over["ours"], name, over["portalocker"]),
    ]


def measure(*, short: bool) -> Result:
    """All figures beside the peers'."""
    times = 3 if short else 5
    rows = cost_rows(1_000 if short else 4_000, 5)
    rows += death_rows(times)
    for shape in SHORT_CROWDS if short else CROWDS:
        rows += crowd_rows(shape, times)
    longest = max(behind_stopped(OURS) for _ in range(times))
    behind = Fact("behind a stopped first waiter", "s", longest, goal=1.0, rounds=times)
    return Result("Limits", rows, [behind])


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    logging.getLogger("filelock").setLevel(logging.WARNING)
    return report(measure(short=asked.short), asked.json)


if __name__ == "__main__":
    raise SystemExit(main())
