"""What strikes code of ours by a Ctrl-C at every place where Python lets a signal in.

A signal's handler runs as a function begins, and when a C function has returned. A profiler is told
of both and may raise as the handler does, so that each of these places can be struck, and for
certain. It is not told when a class has been called, nor of a loop's next round: a handler may run
there too.
"""

from __future__ import annotations

import gc
import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest_registry
from pytest_registry.errors import SlotTimeout
from pytest_registry.limits.turn import Turn

OURS = str(Path(pytest_registry.__file__).parent)


class Interrupt:
    """A context that is struck at the place with the number `at`, from 1 on, if it comes so far.

    The `first` places are passed over.
    """

    def __init__(self, at: int, first: int = 0) -> None:
        self.at = at
        self.places = itertools.count(1 - first)
        self.struck = False

    def __enter__(self) -> None:
        gc.disable()  # it would call what is not the operation's: finalizers of earlier tests
        sys.setprofile(self.look)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        sys.setprofile(None)
        gc.enable()
        return isinstance(error, (KeyboardInterrupt, SlotTimeout))

    def look(self, frame: FrameType, event: str, _: Any) -> None:
        is_place = event in ("call", "c_return") and frame.f_code.co_filename.startswith(OURS)
        if is_place and next(self.places) == self.at:
            self.struck = True
            raise KeyboardInterrupt


def interrupts(first: int = 0) -> Iterator[Interrupt]:
    """One for each place of an operation that is run with each; the last one strikes nothing."""
    for at in itertools.count(1):
        interrupt = Interrupt(at, first)
        yield interrupt
        if not interrupt.struck:
            return


def take(turn: Turn, interrupt: Interrupt) -> None:
    """An operation that may be struck while it takes its slot."""
    with interrupt:
        turn.__enter__()
    if not interrupt.struck:
        turn.__exit__(None, None, None)


def give_back(turn: Turn, interrupt: Interrupt) -> None:
    """An operation that may be struck while it gives its slot back."""
    turn.__enter__()
    with interrupt:
        turn.__exit__(None, None, None)


def open_files() -> Counter[str]:
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # another thread has closed it, or it was the listing's
            found[str(entry.readlink())] += 1
    return found
