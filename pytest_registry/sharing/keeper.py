"""The process that owns the registry's life: `python -m pytest_registry.sharing.keeper DIRECTORY`.

It is two processes, so that either can be killed. The keeper itself starts the engine (and is the
embedded registry's server); its guardian, forked before anything heavy is imported, only waits for
the keeper's end. Whichever of them is left when the run has ended cleans up.

Both learn of the run's end from the kernel: the controller holds the lock of the run's life, and
loses it by letting go, by ending, or by being killed. Nobody polls.

They are there before the run's directory is: `keeper_process` tells them by standard input when to
begin. DIRECTORY is for who looks at the list of processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pytest_registry.sharing.liveness import Lifeline, wait_until_released
from pytest_registry.sharing.run import Run

IGNORED = ("SIGHUP", "SIGINT")
"""What a terminal or a session that goes sends to all in it; the run's end is learned otherwise."""

SWEEP = 10.0
"""Seconds for which the end of a run waits for what the sweep of dead runs has begun."""

LOOK = 5.0
"""Seconds between two looks whether a kept registry's directory is there still."""


class Abandoned(BaseException):
    """The run ended in the midst of its registry's start."""


class Start:
    """The registry's start; `over` once it has ended, well or not.

    No Event: the signal that interrupts the start may come while the main thread holds its lock.
    """

    over = False


def main() -> None:
    """Keep the registry of the run that standard input tells, in the background."""
    os.umask(0o077)
    _ignore(*IGNORED)
    told = sys.stdin.readline()
    if not told.endswith("\n"):
        return  # whoever started us was killed, and has made nothing yet
    task = json.loads(told)
    run, unborn = Run.from_json(task["run"]), Path(task["unborn"])
    if not hasattr(os, "fork"):
        _ready()
        _as_one_of_two(run, unborn, keep)
        return
    if os.fork():
        os._exit(0)  # whoever started us reaps this process, and never has to reap another
    keeper = os.fork()
    if keeper == 0:
        _ready()  # both are there
        _as_one_of_two(run, unborn, keep)
    else:
        _close_output()  # or whoever waits for a word of a keeper that was killed would wait for us
        signal.signal(signal.SIGTERM, _pass_on(keeper))
        _as_one_of_two(run, unborn, lambda run: guard(run, keeper))


def _ignore(*signals: str) -> None:
    for name in signals:
        if hasattr(signal, name):  # Windows has not all of them
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _ready() -> None:
    with contextlib.suppress(BrokenPipeError):  # who started us was killed: what next, stdin tells
        os.write(sys.stdout.fileno(), b"+")


def _as_one_of_two(run: Run, unborn: Path, task: Callable[[Run], None]) -> None:
    """Do the task once the run has its directory; remove what its maker made if that was killed."""
    sys.stdin.read()  # until the maker has made it, or was killed
    try:
        # Held by keeper and guardian alike: it is free when the last of them has cleaned up.
        lock = Lifeline(run.keeper, shared=True)
    except OSError:
        run.remove_unborn(unborn)
        return
    _say_errors_in(run.keeper_log)
    task(run)
    lock.release()


def keep(run: Run) -> None:
    """Start the registry, tell of it, and wait until it is no longer needed; then clean up."""
    try:
        serving = Lifeline(run.serving)
    except BlockingIOError:
        return  # another keeper does, whose starter was killed
    ends: queue.SimpleQueue[str] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: ends.put("asked to end"))
    from pytest_registry.sharing import service  # takes a while, and who waits looks for `serving`

    start = _interruptible()
    engine = sweep = None
    try:
        _in_the_background(_wait_for_the_run, run, ends, start)  # which may interrupt at once
        engine = service.start(run)
        start.over = True
    except Abandoned:
        # As if killed: an engine may be making just now what the start has asked of it.
        run.finished.unlink(missing_ok=True)
    _close_output()
    if engine is not None:
        _in_the_background(service.watch, run, engine)
        sweep = _in_the_background(service.sweep, run)
    _wait_for_the_end(run, ends)
    service.stop(run, engine)
    if sweep is not None:
        sweep.join(SWEEP)  # a short run would never get to the end of it
    serving.release()


def guard(run: Run, keeper: int) -> None:
    """Wait for the keeper; if it was killed, tell so, and clean up in its place."""
    _, status = os.waitpid(keeper, 0)
    _ignore("SIGTERM")  # to pass it on would meet whatever process has the keeper's number now
    if os.waitstatus_to_exitcode(status) == 0:
        return
    from pytest_registry.sharing import service

    service.bury(run, _how_it_ended(status))
    wait_until_released(run.life)
    # As if the run had been killed: an engine may be making just now what the keeper had asked for.
    run.finished.unlink(missing_ok=True)
    service.stop(run, None)


def _wait_for_the_end(run: Run, ends: queue.SimpleQueue[str]) -> None:
    """Wait until somebody says so; a kept registry also until its directory was removed by hand."""
    if not run.settings.keep:
        ends.get()
    while run.settings.keep and run.directory.exists():
        with contextlib.suppress(queue.Empty):
            ends.get(timeout=LOOK)
            return


def _wait_for_the_run(run: Run, ends: queue.SimpleQueue[str], start: Start) -> None:
    wait_until_released(run.life)
    if not run.kept.exists():
        ends.put("the run ended")
        if not start.over:
            _abandon(run)


def _interruptible() -> Start:
    """Let `_abandon` interrupt this thread, the main one, until the start is over."""
    start = Start()

    def handler(_number: int, _frame: FrameType | None) -> None:
        if not start.over:
            start.over = True
            raise Abandoned

    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, handler)
    return start


def _abandon(run: Run) -> None:
    """End a start that is under way, which may take minutes, and clean up after it.

    The main thread does, while the guardian is there still: either of them can be killed. Where
    there are no signals this thread does.
    """
    if sys.platform != "win32":
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    else:
        from pytest_registry.sharing import service

        service.stop(run, None)
        os._exit(1)


def _in_the_background(task: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=task, args=arguments, daemon=True)
    thread.start()
    return thread


def _say_errors_in(log: Path) -> None:
    """Let what goes wrong from now on stand in the log; who started us waits for the pipe's end."""
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        file = os.open(os.devnull, os.O_WRONLY)
    os.dup2(file, sys.stderr.fileno())
    os.close(file)


def _close_output() -> None:
    """Close standard output: its reader, the process that started us, waits for nothing else."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _pass_on(keeper: int) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, number)

    return handler


def _how_it_ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


if __name__ == "__main__":
    main()
