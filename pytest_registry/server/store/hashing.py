"""Hashing what is received: in turn with receiving it, or beside it, where a core is free for that.

Receiving and writing a blob take about as long as hashing it, and all three leave the interpreter's
lock. In turn they reach half the speed of the hashing; beside each other they come near to it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pytest_registry.server.body import BLOCK

BESIDE = 1024 * 1024
"""Bytes of a block that another thread hashes: every block wakes both threads once."""


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_free_cores = threading.BoundedSemaphore(_cores() - 1)
"""One core receives. Where many upload at once, all are busy anyway, and each hashes in turn."""


class Digest(Protocol):
    """What hashlib makes."""

    def update(self, block: memoryview, /) -> None:
        """Hash a block."""


class Hashing(Protocol):
    """Gives the buffer in which the next block is received, and hashes what came."""

    def buffer(self) -> memoryview:
        """A buffer that nobody reads any more."""

    def add(self, count: int) -> None:
        """Hash the first bytes of the buffer that was given last."""


class InTurn:
    """Hashes at once, in the thread that receives."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._buffer = memoryview(bytearray(BLOCK))

    def buffer(self) -> memoryview:
        """Always the same."""
        return self._buffer

    def add(self, count: int) -> None:
        """Hash now."""
        self._digest.update(self._buffer[:count])


class Beside:
    """Hashes in a thread of its own one block while the next is received."""

    def __init__(self, digest: Digest) -> None:
        from mmap import mmap
        from queue import SimpleQueue

        self._digest = digest
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        for _ in range(2):
            # Mapped: what malloc has given out in such pieces it keeps, for each thread some.
            self._free.put(memoryview(mmap(-1, BESIDE)))
        self._buffer = memoryview(b"")
        self._thread = threading.Thread(target=self._hash, name="hashing", daemon=True)
        self._thread.start()

    def buffer(self) -> memoryview:
        """The one of the two that is hashed, waiting for it if need be."""
        self._buffer = self._free.get()
        return self._buffer

    def add(self, count: int) -> None:
        """Have it hashed."""
        self._full.put((self._buffer, count))

    def finish(self) -> None:
        """Return when everything that was added is hashed."""
        self._full.put(None)
        self._thread.join()

    def _hash(self) -> None:
        while (full := self._full.get()) is not None:
            buffer, count = full
            self._digest.update(buffer[:count])
            self._free.put(buffer)


@contextmanager
def hashing(digest: Digest) -> Iterator[Hashing]:
    """Hash beside the receiving as long as there are cores for it, else in turn.

    All that was added is hashed when the context is left.
    """
    beside = _start(digest) if _free_cores.acquire(blocking=False) else None
    if beside is None:
        yield InTurn(digest)
        return
    try:
        yield beside
    finally:
        beside.finish()
        _free_cores.release()


def _start(digest: Digest) -> Beside | None:
    try:
        return Beside(digest)
    except (RuntimeError, OSError):  # no more threads, or no more memory, for this process
        _free_cores.release()
        return None
