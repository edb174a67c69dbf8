"""Programs that the tests of limits run as processes: `programs.py NAME ARGUMENT...`.

Each says on standard output what the test waits for, and goes on at a line on standard input.
"""

from __future__ import annotations

import os
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.polled import PolledSlots

NOTE = struct.Struct("<qiq")
"""What the observer reads: nanoseconds, who, and 1 for taking, -1 for giving back, 0 for a kill."""


def limits_of(base: str, count: int, timeout: float = 60) -> Limits:
    """The limits that all programs of one test share."""
    policy = LimitPolicy(pull=count, timeout=timeout)
    return Limits(file_slots("localhost:5000", Path(base)), policy)


def say(word: str) -> None:
    """Tell the test."""
    print(word, flush=True)


def hold(base: str, count: str, repository: str = "") -> None:
    """Hold one slot until a line comes."""
    say("asking")
    with limits_of(base, int(count)).pull(repository):
        say(f"holding {time.monotonic()}")
        sys.stdin.readline()
    say("done")


def hold_polled(base: str) -> None:
    """As `hold`, by the mechanism for machines without named pipes."""
    say("asking")
    with Limits(PolledSlots(Path(base)), LimitPolicy(pull=1, timeout=60)).pull():
        say(f"holding {time.monotonic()}")
        sys.stdin.readline()
    say("done")


def hold_all(base: str, count: str) -> None:
    """Hold all slots at once, one per thread: says how many seconds that took."""
    limits = limits_of(base, int(count), timeout=30)
    together = threading.Barrier(int(count), timeout=30)

    def one() -> None:
        with limits.pull():
            together.wait()

    began = time.monotonic()
    in_threads(int(count), one)
    say(str(time.monotonic() - began))


def in_threads(count: int, work: Callable[[], None]) -> None:
    """Run `work` in so many threads; leave with code 1 if one fails."""
    failed = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def crowd(base: str, count: str, notes: str, operations: str, threads: str) -> None:
    """Take and give back as often and as fast as possible, and note each moment of holding."""
    limits = limits_of(base, int(count))
    each = int(operations) // int(threads)

    def one() -> None:
        who = threading.get_native_id()
        noted = bytearray()
        for _ in range(each):
            with limits.pull():
                noted += NOTE.pack(time.monotonic_ns(), who, 1)
                time.sleep(0.0001)  # or two processors would hardly ever let three hold at once
                noted += NOTE.pack(time.monotonic_ns(), who, -1)
        append(notes, noted)

    in_threads(int(threads), one)
    say("done")


def append(notes: str, noted: bytes | bytearray) -> None:
    """Add notes to the file that the observer reads, in one write."""
    descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, noted)
    os.close(descriptor)


def kills(base: str, count: str, notes: str, workers: str, wanted: str) -> None:
    """Keep so many workers busy and kill one at random again and again, then let all end."""
    stop = Path(notes).with_name("stop")
    living = [_busy(base, int(count), notes, stop) for _ in range(int(workers))]
    choice = random.Random(5)
    for _ in range(int(wanted)):
        time.sleep(choice.uniform(0, 0.008))
        victim = living.pop(choice.randrange(len(living)))
        append(notes, NOTE.pack(time.monotonic_ns(), victim, 0))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        living.append(_busy(base, int(count), notes, stop))
    stop.touch()
    codes = [os.waitpid(pid, 0)[1] for pid in living]
    say(f"ended {max(codes)}")


def _busy(base: str, count: int, notes: str, stop: Path) -> int:
    """Fork a worker that holds for about a millisecond, again and again."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        limits = limits_of(base, count, timeout=30)
        who, choice = os.getpid(), random.Random(os.getpid())
        while not stop.exists():
            with limits.pull():
                append(notes, NOTE.pack(time.monotonic_ns(), who, 1))
                time.sleep(choice.uniform(0, 0.003))
                append(notes, NOTE.pack(time.monotonic_ns(), who, -1))
        code = 0
    finally:
        os._exit(code)


def forked(base: str) -> None:
    """Hold the only slot, let a thread queue for it, and fork: the child says what it has."""
    limits = limits_of(base, 1)
    turn = limits.pull("parent/image")
    turn.__enter__()
    threading.Thread(target=limits.pull().__enter__, daemon=True).start()
    time.sleep(0.2)
    child = os.fork()
    if child == 0:
        inherited = [name for name in _open_files() if base in name]
        turn.__exit__(None, None, None)  # must not give back what is the parent's
        held = [holder.pid for holder in limits.holders("pull")]
        say(f"{os.getpid()} {len(inherited)} {held == [os.getppid()]}")
        time.sleep(60)
        os._exit(0)
    sys.stdin.readline()


def _open_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - one of them is gone at once
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115
        except FileNotFoundError:
            continue
    return found


def command_sees(base: str) -> None:
    """Run a command in a slot: says how many of the limits' files it has open."""
    command = ["ls", "-l", "/proc/self/fd"]
    done = limits_of(base, 1).run_pull(command, capture_output=True, text=True)
    say(str(done.stdout.count(base)))


def interrupted(base: str, count: str) -> None:
    """Wait for a slot and survive each SIGINT until a line comes: says how many files are left."""
    limits = limits_of(base, int(count))
    stopped, armed = threading.Event(), [False]

    def interrupt(*_: object) -> None:
        if armed[0]:  # else it would strike outside of what is tested, and end the program
            armed[0] = False
            raise KeyboardInterrupt

    def listen() -> None:
        sys.stdin.readline()
        stopped.set()

    limits.holders("pull")  # opens what stays open
    usual = len(_open_files())
    signal.signal(signal.SIGINT, interrupt)
    threading.Thread(target=listen, daemon=True).start()
    say("ready")
    survived = 0
    while not stopped.is_set():
        try:
            armed[0] = True
            with limits.pull():
                pass
            armed[0] = False
        except KeyboardInterrupt:
            survived += 1
    say(f"survived {survived} left {len(_open_files()) - usual}")
    time.sleep(60)  # alive, so that a slot that leaked stays taken


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
