"""Processes that are killed, stopped, interrupted or forked in the middle."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

Start = Callable[..., "Popen[str]"]

AT_ONCE = 20
"""Seconds on a machine that stands still for some; it would wait for 60."""


def said(process: Popen[str]) -> str:
    """The next line that a program says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: Popen[str]) -> None:
    """Let a program go on that waits for a line."""
    assert process.stdin is not None
    process.stdin.write("\n")


def holding(start: Start, base: Path, count: int = 1) -> Popen[str]:
    """A process that holds a slot."""
    process = start("hold", base, count)
    assert said(process) == "asking"
    assert said(process).startswith("holding")
    return process


def waiting(start: Start, base: Path, count: int = 1) -> Popen[str]:
    """A process that stands in the queue, or has its slot already."""
    process = start("hold", base, count)
    assert said(process) == "asking"
    while not queues_or_holds(process.pid, base):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def queues_or_holds(pid: int, base: Path) -> bool:
    """Whether a process has the writing end of a pipe: of a place in the queue or of a slot."""
    with contextlib.suppress(FileNotFoundError):  # it closes some meanwhile
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            link, mode = entry.readlink(), entry.lstat().st_mode
            is_pipe = link.is_relative_to(base) and link.suffix == ".pipe"
            if is_pipe and mode & stat.S_IWUSR:
                return True
    return False


def open_in(pid: int, base: Path) -> int:
    """How many files below `base` a process has open."""
    links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(link.is_relative_to(base) for link in links)


def test_a_killed_holder_frees_its_slot_at_once(start: Start, base: Path) -> None:
    holder, waiter = holding(start, base), waiting(start, base)
    killed = time.monotonic()
    holder.kill()
    assert float(said(waiter).removeprefix("holding ")) - killed < AT_ONCE


def test_a_killed_holder_frees_its_polled_slot(start: Start, base: Path) -> None:
    holder = start("hold_polled", base)
    assert [said(holder), said(holder)[:7]] == ["asking", "holding"]
    waiter = start("hold_polled", base)
    assert said(waiter) == "asking"
    time.sleep(0.2)
    killed = time.monotonic()
    holder.kill()
    assert float(said(waiter).removeprefix("holding ")) - killed < AT_ONCE


def test_a_killed_waiter_holds_up_nobody(start: Start, base: Path) -> None:
    holder = holding(start, base)
    waiters = [waiting(start, base) for _ in range(4)]
    for waiter in waiters[:3]:
        waiter.kill()
    go_on(holder)
    assert said(waiters[3]).startswith("holding")


def test_a_stopped_first_waiter_lets_the_others_go_on(start: Start, base: Path) -> None:
    holder, first, second, third = holding(start, base), *[waiting(start, base) for _ in range(3)]
    first.send_signal(signal.SIGSTOP)
    released = time.monotonic()
    go_on(holder)
    assert float(said(second).removeprefix("holding ")) - released < AT_ONCE
    go_on(second)
    assert said(third).startswith("holding")
    first.send_signal(signal.SIGCONT)
    go_on(third)
    assert said(first).startswith("holding")


def test_several_stopped_waiters_let_the_others_go_on(start: Start, base: Path) -> None:
    holder = holding(start, base)
    waiters = [waiting(start, base) for _ in range(4)]
    for waiter in waiters[:3]:
        waiter.send_signal(signal.SIGSTOP)
    go_on(holder)
    assert said(waiters[3]).startswith("holding")


def test_waiters_are_served_in_the_order_of_their_coming(start: Start, base: Path) -> None:
    holder = holding(start, base)
    waiters = [waiting(start, base) for _ in range(5)]
    go_on(holder)
    for waiter in waiters:
        assert said(waiter).startswith("holding")
        go_on(waiter)
    assert [said(waiter) for waiter in waiters] == ["done"] * 5


def test_a_forked_child_keeps_no_lock_pipe_or_place(start: Start, base: Path) -> None:
    parent = start("forked", base)
    child, inherited, still_held = said(parent).split()
    try:
        assert (inherited, still_held) == ("0", "True")
        parent.kill()
        parent.wait()
        assert Path(f"/proc/{child}").exists()
        assert said(waiting(start, base)).startswith("holding")
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_interrupts_at_any_moment_of_waiting_leave_nothing_held(start: Start, base: Path) -> None:
    holder, choice = holding(start, base), random.Random(3)
    patient = [start("interrupted", base, 1) for _ in range(3)]
    assert [said(process) for process in patient] == ["ready"] * 3
    for _ in range(600):
        time.sleep(choice.uniform(0, 0.004))
        choice.choice(patient).send_signal(signal.SIGINT)
    for process in patient:
        go_on(process)
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], 0.2)[0]:  # it has not read the line yet
            process.send_signal(signal.SIGINT)
        _, survived, _, left = said(process).split()
        assert (int(survived) > 0, left) == (True, "0")
    go_on(holder)
    assert said(holder) == "done"
    assert said(waiting(start, base)).startswith("holding")
    assert [process.poll() for process in patient] == [None] * 3


def test_a_command_inherits_nothing(start: Start, base: Path) -> None:
    assert said(start("command_sees", base)) == "0"


def test_a_holder_has_its_files_open(start: Start, base: Path) -> None:
    assert open_in(holding(start, base).pid, base) > 0
