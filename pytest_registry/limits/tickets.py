"""The queue before the slots: a ring of named pipes, on which everybody watches who came before.

A waiter draws a number and keeps the pipe of its place open for writing. It watches the pipe of
the nearest earlier waiter that lives; when that one leaves, or dies, the pipe hangs up and exactly
one process wakes. Nobody must be told anything, so nobody can be forgotten.

The queue decides only who tries first. A wrong order, which a few races allow and each comment
below names, costs fairness for a moment; it can never admit too many.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.files import has_writer, open_reader, open_writer

PLACES = 128
"""Waiters that can be watched at once; beyond these one waits just as well, but out of order.
Not more, because to make a pipe costs up to 0.2 ms, once per place and directory."""


class Ahead(NamedTuple):
    """An earlier waiter: its number, and a descriptor to close, which hangs up when it leaves."""

    number: int
    reader: int


class Tickets:
    """The queue of one kind in one directory, as this process sees it."""

    def __init__(self, directory: Path, descriptors: Descriptors) -> None:
        self._directory = directory
        self._descriptors = descriptors
        append = os.O_RDWR | os.O_CREAT | os.O_APPEND
        self._drawn = descriptors.open(self, str(directory / "drawn"), append)
        flags = os.O_RDWR | os.O_CREAT
        self._passed = descriptors.open(self, str(directory / "passed"), flags)

    def last(self) -> int:
        """The last number that was drawn."""
        with self._descriptors.lock:  # `draw` reads the same position
            return os.lseek(self._drawn, 0, os.SEEK_END)

    def draw(self) -> int:
        """Draw the next number.

        The numbers are the lengths of a file that grows by a byte: the kernel appends atomically
        and leaves our own end as the position, so no lock is needed in which one could be stopped.
        """
        with self._descriptors.lock:
            os.write(self._drawn, b".")
            return os.lseek(self._drawn, 0, os.SEEK_CUR)

    def stand(self, owner: object, number: int) -> int | None:
        """Take the place of a number that was drawn: the descriptor to close when leaving.

        None where one who came `PLACES` earlier may still stand. Somebody who looks between our
        drawing and our standing overlooks us, and may be served before.
        """
        if number - self.passed() >= PLACES:
            return None
        return open_writer(self._descriptors, owner, self._place(number))

    def ahead_of(self, owner: object, number: int) -> Ahead | None:
        """Watch the nearest earlier waiter that lives; None if there is none."""
        for earlier in range(number - 1, max(self.passed(), number - PLACES), -1):
            reader = open_reader(self._descriptors, owner, self._place(earlier))
            if has_writer(reader):
                return Ahead(earlier, reader)
            self._descriptors.close(owner, reader)
        return None

    def pass_over(self, number: int) -> None:
        """Say that nobody needs to look at `number` and earlier ones any more.

        Two who say so at once may leave the smaller number: the next search takes longer.
        """
        if number > self.passed():
            os.pwrite(self._passed, number.to_bytes(8, "little"), 0)

    def passed(self) -> int:
        """The number up to which nobody needs to be waited for."""
        return int.from_bytes(os.pread(self._passed, 8, 0), "little")

    def _place(self, number: int) -> str:
        return f"{self._directory}/place-{number % PLACES:04}.pipe"
