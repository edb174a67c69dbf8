"""The open files that stand for a right, which a forked child must not inherit.

A lock or a pipe lives as long as the last copy of its descriptor. A child that was forked while
its parent held a slot would keep that slot taken after the parent's death (seen). `exec` closes
them by itself: Python opens everything with O_CLOEXEC.
"""

from __future__ import annotations

import os
import threading
import weakref


class Descriptors:
    """A table of this process's open descriptors, all closed in every forked child.

    `lock` guards the table and whatever its users keep beside it; it is held over a fork, so that
    a child never sees a half-made entry. `generation` changes in the child: state that was made in
    an older generation is the parent's and must be forgotten.
    A C library that forks without Python's hooks goes around this.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.generation = os.getpid()
        self._open: set[int] = set()
        weakref.finalize(self, _close_all, self._open)
        if hasattr(os, "register_at_fork"):
            _close_in_children(self)

    def open(self, path: str, flags: int) -> int:
        """Open a file (made with mode 0600 if `flags` say so) until `close`; raises OSError."""
        with self.lock:
            descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._open.add(descriptor)
            return descriptor

    def pipe(self) -> tuple[int, int]:
        """Make an unnamed pipe: the reading and the writing end."""
        with self.lock:
            ends = os.pipe()
            self._open.update(ends)
            return ends

    def close(self, descriptor: int) -> None:
        """Close one of the table's descriptors; any other number is left alone."""
        with self.lock:
            if descriptor in self._open:
                self._open.discard(descriptor)
                os.close(descriptor)

    def forget(self) -> None:
        """Close everything without a word to anybody: what a forked child does first."""
        _close_all(self._open)
        self.generation = os.getpid()


def _close_all(descriptors: set[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _close_in_children(descriptors: Descriptors) -> None:
    """Register the fork's hooks, which cannot be taken back: they keep only the lock alive."""
    lock = descriptors.lock
    known = weakref.ref(descriptors)

    def in_child() -> None:
        if (living := known()) is not None:
            living.forget()
        lock.release()

    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=in_child)
