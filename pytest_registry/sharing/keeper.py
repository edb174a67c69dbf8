"""The process that owns the registry's life: `python -m pytest_registry.sharing.keeper DIRECTORY`.

It is two processes, so that either can be killed. The keeper itself starts the engine (and is the
embedded registry's server); its guardian, forked before anything heavy is imported, only waits for
the keeper's end. Whichever of them is left when the run has ended cleans up.

Both learn of the run's end from the kernel: the controller holds the lock of the run's life, and
loses it by letting go, by ending, or by being killed. Nobody polls.
"""

from __future__ import annotations

import contextlib
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


def main(directory: Path) -> None:
    """Keep the registry of the run in `directory`, in the background."""
    os.umask(0o077)
    run = Run.read(directory)
    # Held by keeper and guardian alike: it is free when the last of them has cleaned up.
    lock = Lifeline(run.keeper, kept_by_forks=True)
    serving = Lifeline(run.serving, kept_by_forks=True)
    if not hasattr(os, "fork"):
        keep(run)
        return
    if os.fork():
        os._exit(0)  # whoever started us reaps this process, and never has to reap another
    keeper = os.fork()
    if keeper == 0:
        keep(run)
    else:
        serving.release()
        guard(run, keeper)
    lock.release()


def keep(run: Run) -> None:
    """Start the registry, tell of it, and wait until it is no longer needed; then clean up."""
    from pytest_registry.sharing import service

    ends: queue.SimpleQueue[str] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: ends.put("asked to end"))
    started = threading.Event()
    _in_the_background(_wait_for_the_run, run, ends, started)
    engine = service.start(run)
    started.set()
    _close_output()
    if engine is not None:
        _in_the_background(service.watch, run, engine)
        _in_the_background(service.sweep, run)
    ends.get()
    service.stop(run, engine)


def guard(run: Run, keeper: int) -> None:
    """Wait for the keeper; if it was killed, tell so, and clean up in its place."""
    signal.signal(signal.SIGTERM, _pass_on(keeper))
    _close_output()
    _, status = os.waitpid(keeper, 0)
    if os.waitstatus_to_exitcode(status) == 0:
        return
    from pytest_registry.sharing import service

    service.bury(run, _how_it_ended(status))
    wait_until_released(run.life)
    service.stop(run, None)


def _wait_for_the_run(run: Run, ends: queue.SimpleQueue[str], started: threading.Event) -> None:
    wait_until_released(run.life)
    if not started.is_set() and not run.kept.exists():
        _abandon(run)
    if not run.kept.exists():
        ends.put("the run ended")


def _abandon(run: Run) -> None:
    """End in the midst of a start, which may take minutes; the guardian cleans up."""
    if not hasattr(os, "fork"):
        from pytest_registry.sharing import service

        service.stop(run, None)
    os._exit(1)


def _in_the_background(task: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=task, args=arguments, daemon=True).start()


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
    main(Path(sys.argv[1]))
