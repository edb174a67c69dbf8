"""Whether a process still lives, told by a lock that the kernel takes away when it dies.

A process holds a lock on a file of its own; another waits for the lock without polling. No
heartbeat, no pid that may have been reused, and a killed process counts at once. Where the kernel
has files without a name, a killed process does not even leave that file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

POLL = 0.1
"""Seconds between tries where the platform cannot block on a lock (Windows)."""

UNNAMED = "pytest-registry"
"""What the kernel tells of our unnamed files."""


class UnnamedFile:
    """A file in no directory; others find its lock by its `path`, which leads through this process.

    It goes with this process, however that ends: then the path leads nowhere, or, where another
    process was given the same id, to no file of ours.
    """

    def __init__(self) -> None:
        """Make it; raises OSError where the platform has none, or others could not reach it."""
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "this platform has no unnamed files that have a path")
        descriptor = os.memfd_create(UNNAMED)
        self.path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        self._descriptor: int | None = descriptor
        # Of a process that may not be looked into, root owns what /proc shows.
        if not (_leads_to_ours(self.path) and self.path.parent.stat().st_uid == os.geteuid()):
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
        self._descriptor: int | None = _open(path, make=True)
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


def _take(descriptor: int, *, shared: bool, tries: int = 20) -> None:
    """Take the lock, over the instants in which somebody else only looks whether it is held."""
    for _ in range(tries):
        with contextlib.suppress(OSError):
            _try_lock(descriptor, shared=shared)
            return
        time.sleep(0.005)
    _try_lock(descriptor, shared=shared)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have `path`'s lock while the context lasts, made where it is missing; waits without polling.

    Raises FileNotFoundError where its directory is gone: one that was cleaned up must not come
    back, hence no filelock here, which would make it again.
    """
    descriptor = _open(path, make=True)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def wait_until_released(path: Path) -> None:
    """Block until nobody holds `path`'s lock, or the file is gone."""
    try:
        descriptor = _open(path, make=False)
    except FileNotFoundError:
        return
    try:
        _lock(descriptor)
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
            self._descriptor = _open(path, make=False)

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
            _try_lock(self._descriptor)
        except OSError:
            return True
        _unlock(self._descriptor)
        return False

    def released_within(self, seconds: float, *, step: float = 0.005) -> bool:
        """Wait at most `seconds` for the lock to be free; whether it is."""
        deadline = time.monotonic() + seconds
        while self.is_held():
            if time.monotonic() >= deadline:
                return False
            time.sleep(step)
        return True


def _open(path: Path, *, make: bool) -> int:
    """A descriptor of a lock file; FileNotFoundError where its directory, or its owner, is gone."""
    if path.is_relative_to("/proc") and not _leads_to_ours(path):
        raise FileNotFoundError(errno.ENOENT, "its owner is gone", str(path))
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)


def _leads_to_ours(path: Path) -> bool:
    """Whether it is an unnamed file of ours; not so where another process has that id now."""
    with contextlib.suppress(OSError):
        return path.readlink().name.startswith(f"memfd:{UNNAMED}")
    return False


if sys.platform == "win32":

    def _try_lock(descriptor: int, *, shared: bool = False) -> None:  # noqa: ARG001 - none here
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _lock(descriptor: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                return _try_lock(descriptor)
            time.sleep(POLL)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:

    def _try_lock(descriptor: int, *, shared: bool = False) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
