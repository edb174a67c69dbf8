"""Whether a process still lives, told by a lock that the kernel takes away when it dies.

A process holds a lock on a file of its own; another waits for the lock without polling. No
heartbeat, no pid that may have been reused, and a killed process counts at once. Where the kernel
has files without a name, a killed process does not even leave that file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import time
import weakref
from pathlib import Path
from typing import ClassVar

from pytest_registry.security.locks import (
    leads_to_it,
    lock,
    open_lock,
    try_lock,
    unlock,
)

TRIES = 20


class UnnamedFile:
    """A file in no directory; others find its lock by its `path`, which leads through this process.

    It goes with this process, however that ends: then the path leads nowhere. Its end is the file's
    own name, so that it does so too where another process was given the same id.
    """

    def __init__(self) -> None:
        """Make it; raises OSError where the platform has none, or others could not reach it."""
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "this platform has no unnamed files that have a path")
        name = f"pytest-registry-{secrets.token_hex(6)}"
        descriptor = os.memfd_create(name)
        self.path = Path(f"/proc/{os.getpid()}/fd/{descriptor}:{name}")
        self._descriptor: int | None = descriptor
        # Of a process that may not be looked into, root owns what /proc shows.
        if not (leads_to_it(self.path) and self.path.parent.stat().st_uid == os.geteuid()):
            self.close()
            raise OSError(errno.EACCES, "other processes cannot reach it", str(self.path))

    def close(self) -> None:
        """Let its path lead nowhere; closing twice is no error."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class Lifeline:
    """A lock file that this process holds until it lets go or dies.

    A child made by `fork` does not keep it: it closes its copy at once.
    """

    _held: ClassVar[weakref.WeakSet[Lifeline]] = weakref.WeakSet()

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """Take the lock; raises BlockingIOError where another process holds it.

        Several processes hold a `shared` one at a time, where the platform knows such locks.
        Raises FileNotFoundError where its directory is gone.
        """
        self.path = path
        self._descriptor: int | None = open_lock(path, make=True)
        try:
            _take(self._descriptor, shared=shared)
        except OSError:
            self.release()
            raise
        self._held.add(self)

    def release(self) -> None:
        """Let go; whoever waits is woken. Letting go twice is no error."""
        descriptor, self._descriptor = self._descriptor, None
        self._held.discard(self)
        if descriptor is not None:
            os.close(descriptor)

    @classmethod
    def release_all(cls) -> None:
        """Let go of all that this process holds."""
        for each in list(cls._held):
            each.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Lifeline.release_all)


def _take(descriptor: int, *, shared: bool) -> None:
    """Take the lock, over the instants in which somebody else only looks whether it is held."""
    for _ in range(TRIES):
        with contextlib.suppress(OSError):
            try_lock(descriptor, shared=shared)
            return
        time.sleep(0.005)
    try_lock(descriptor, shared=shared)


def wait_until_released(path: Path) -> None:
    """Block until nobody holds `path`'s lock, or the file is gone."""
    try:
        descriptor = open_lock(path, make=False)
    except FileNotFoundError:
        return
    try:
        lock(descriptor)
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds `path`'s lock now."""
    with Watch(path) as watch:
        return watch.is_held()


class Watch:
    """A look at a lock file; once opened, it sees the lock even if the file is removed."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(FileNotFoundError):
            self._descriptor = open_lock(path, make=False)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Whether some process holds the lock now; a file that was not there is not held."""
        if self._descriptor is None:
            return False
        try:
            try_lock(self._descriptor)
        except OSError:
            return True
        unlock(self._descriptor)
        return False

    def released_within(self, seconds: float) -> bool:
        """Wait at most `seconds` for the lock to be free; whether it is."""
        deadline = time.monotonic() + seconds
        while self.is_held():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        return True
