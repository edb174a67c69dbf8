"""The open files that stand for a right, which a forked child must not inherit.

A lock or a pipe lives as long as the last copy of its descriptor. A child that was forked while
its parent held a slot would keep that slot taken after the parent's death (seen). `exec` closes
them by itself: Python opens everything with O_CLOEXEC.
"""

from __future__ import annotations

import os
import threading
import weakref
from itertools import chain, starmap

_ALWAYS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)  # Windows has neither


class Descriptors:
    """A table of this process's open descriptors by their owners, all closed in a forked child.

    `lock` guards the table and whatever its users keep beside it; it is held over a fork, so that
    a child never sees a half-made entry. Descriptors are closed at the latest with the table, which
    an owner must not outlive. `generation` changes in the child: state that was made in
    an older generation is the parent's and must be forgotten.
    A C library that forks without Python's hooks goes around this.

    Opening and noting, and forgetting and closing, are one call of C code each, because an
    interrupt (Ctrl-C) strikes between two: then nobody would ever know and close the descriptor,
    and an open pipe looks like a living process.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.generation = os.getpid()
        self._owned: dict[int, list[int]] = {}  # by the owner's id, to keep nobody alive
        weakref.finalize(self, _close_everything, self._owned)
        if hasattr(os, "register_at_fork"):
            _close_in_children(self)

    def open(self, owner: object, path: str, flags: int) -> int:
        """Open a file (made with mode 0600 if `flags` say so); raises OSError."""
        with self.lock:
            descriptors = self._owned.setdefault(id(owner), [])
            descriptors.extend(map(os.open, (path,), (flags | _ALWAYS,), (0o600,)))
            return descriptors[-1]

    def pipe(self, owner: object) -> tuple[int, int]:
        """Make an unnamed pipe: the reading and the writing end."""
        with self.lock:
            descriptors = self._owned.setdefault(id(owner), [])
            descriptors.extend(chain.from_iterable(starmap(os.pipe, ((),))))
            return descriptors[-2], descriptors[-1]

    def close(self, owner: object, descriptor: int) -> None:
        """Close one of the owner's descriptors; any other number is left alone."""
        with self.lock:
            descriptors = self._owned.get(id(owner), [])
            if descriptor in descriptors:
                _close(descriptors, descriptors.index(descriptor))

    def close_all(self, owner: object) -> None:
        """Close whatever the owner has open."""
        with self.lock:
            _close_all(self._owned.get(id(owner), []))
            self._owned.pop(id(owner), None)

    def forget(self) -> None:
        """Close everything without a word to anybody: what a forked child does first."""
        _close_everything(self._owned)
        self.generation = os.getpid()


def _close_everything(owned: dict[int, list[int]]) -> None:
    for descriptors in list(owned.values()):  # at the interpreter's end other threads may run
        _close_all(descriptors)
    owned.clear()


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        _close(descriptors, -1)


def _close(descriptors: list[int], index: int) -> None:
    """Take one out and close it, without a moment in between."""
    list(map(os.close, map(descriptors.pop, (index,))))


def _close_in_children(descriptors: Descriptors) -> None:
    """Register the fork's hooks, which cannot be taken back: they keep only the lock alive."""
    lock = descriptors.lock
    known = weakref.ref(descriptors)

    def in_child() -> None:
        if (living := known()) is not None:
            living.forget()
        lock.release()

    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=in_child)
