"""Locks on files that the kernel keeps, and takes away from a process that dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

POLL = 0.1
"""Seconds between tries where the platform cannot block on a lock (Windows)."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have `path`'s lock while the context lasts, made where it is missing; waits without polling.

    Raises FileNotFoundError where its directory is gone: one that was cleaned up must not come
    back, hence no filelock here, which would make it again.
    """
    descriptor = open_lock(path, make=True)
    try:
        with holding(descriptor):
            yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def holding(descriptor: int) -> Iterator[None]:
    """Have the lock of an open file while the context lasts."""
    owner = os.getpid()
    lock(descriptor)
    try:
        yield
    finally:
        # Closing does not let go where a thread forked meanwhile: the child has a copy. And a child
        # that was forked in here must not let go of its parent's lock.
        if os.getpid() == owner:
            unlock(descriptor)


def open_lock(path: Path, *, make: bool) -> int:
    """A descriptor of a lock file; FileNotFoundError where its directory, or its owner, is gone."""
    if path.is_relative_to("/proc"):
        if not leads_to_it(path):
            raise FileNotFoundError(errno.ENOENT, "its owner is gone", str(path))
        path = path.with_name(path.name.partition(":")[0])
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)


def leads_to_it(path: Path) -> bool:
    """Whether `/proc/PID/fd/DESCRIPTOR:NAME` leads to the unnamed file that the kernel calls so.

    Another process may have that id now, even one with unnamed files of ours.
    """
    descriptor, _, name = path.name.partition(":")
    with contextlib.suppress(OSError):
        return path.with_name(descriptor).readlink().name.startswith(f"memfd:{name} ")
    return False


if sys.platform == "win32":

    def try_lock(descriptor: int, *, shared: bool = False) -> None:  # noqa: ARG001 - none here
        """Take the lock now; raises OSError where another one holds it."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def lock(descriptor: int) -> None:
        """Wait for the lock, and take it."""
        while True:
            with contextlib.suppress(OSError):
                return try_lock(descriptor)
            time.sleep(POLL)

    def unlock(descriptor: int) -> None:
        """Let go of the lock."""
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:

    def try_lock(descriptor: int, *, shared: bool = False) -> None:
        """Take the lock now; raises BlockingIOError where another one holds it."""
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def lock(descriptor: int) -> None:
        """Wait for the lock, and take it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def unlock(descriptor: int) -> None:
        """Let go of the lock."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
