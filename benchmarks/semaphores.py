"""The semaphores that limits.py compares, behind one protocol."""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pytest_registry.errors import SlotTimeout
from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.slots import Holder

HOLDER = Holder("gw0", "tests/test_a.py::test_b", "pull", "samples/nginx", 0.0, 1)


class Semaphore(Protocol):
    """One process's handle of a semaphore that several processes share."""

    def acquire(self, timeout: float = 120.0) -> bool:
        """Take a slot within so many seconds."""

    def release(self) -> None:
        """Give it back."""


class Ours:
    """`registry.limits.pull()`, as a user calls it."""

    def __init__(self, directory: Path, count: int, log: Path | None = None) -> None:
        self._slots = file_slots("localhost:5000", directory)
        self._count = count
        self._log = log
        self._turn: Any = None
        self._limits = self._with_timeout(120.0)

    def _with_timeout(self, timeout: float) -> Limits:
        return Limits(self._slots, LimitPolicy(pull=self._count, timeout=timeout), log=self._log)

    def acquire(self, timeout: float = 120.0) -> bool:
        """Take a slot within so many seconds."""
        limits = self._limits if timeout == 120.0 else self._with_timeout(timeout)
        self._turn = limits.pull("samples/nginx")
        try:
            self._turn.__enter__()
        except SlotTimeout:
            return False
        return True

    def release(self) -> None:
        """Give it back."""
        self._turn.__exit__(None, None, None)


class OurSlots:
    """The mechanism alone, without records, nesting and deadlines: what a slot costs."""

    def __init__(self, directory: Path, count: int) -> None:
        self._slots = file_slots("localhost:5000", directory)
        self._count = count
        self._claim: Any = None

    def acquire(self, timeout: float = 120.0) -> bool:  # noqa: ARG002 - only used uncontended
        """Take a slot within so many seconds."""
        self._claim = self._slots.claim("pull", self._count, HOLDER)
        return bool(self._claim.attempt())

    def release(self) -> None:
        """Give it back."""
        self._claim.release()


class Portalocker:
    """portalocker's BoundedSemaphore with its defaults."""

    def __init__(self, directory: Path, count: int) -> None:
        import portalocker

        self._refused = portalocker.AlreadyLocked
        self._semaphore = portalocker.NamedBoundedSemaphore(
            count, name="bench", directory=str(directory)
        )

    def acquire(self, timeout: float = 120.0) -> bool:
        """Take a slot within so many seconds."""
        try:
            return self._semaphore.acquire(timeout=timeout) is not None
        except self._refused:
            return False

    def release(self) -> None:
        """Give it back."""
        self._semaphore.release()


class PolledFileLock:
    """What one writes first: a `FileLock` per slot, tried in turn every 50 ms."""

    def __init__(self, directory: Path, count: int) -> None:
        from filelock import FileLock

        self._locks = [
            FileLock(directory / f"slot-{index}", fallback_to_soft=False) for index in range(count)
        ]
        self._held: Any = None

    def acquire(self, timeout: float = 120.0) -> bool:
        """Take a slot within so many seconds."""
        end = time.monotonic() + timeout
        while not self._try():
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    def _try(self) -> bool:
        from filelock import Timeout

        for lock in self._locks:
            with contextlib.suppress(Timeout):
                lock.acquire(blocking=False)
                self._held = lock
                return True
        return False

    def release(self) -> None:
        """Give it back."""
        self._held.release()


class _SemaphoreOperation(ctypes.Structure):
    _fields_ = (
        ("number", ctypes.c_ushort),
        ("change", ctypes.c_short),
        ("flags", ctypes.c_short),
    )


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class SystemV:
    """The kernel's own counting semaphore with SEM_UNDO: the reference, which is no file lock."""

    _SEM_UNDO, _SETVAL, _IPC_RMID, _IPC_CREAT = 0x1000, 16, 0, 0o1000

    def __init__(self, directory: Path, count: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        identity = directory / "system-v"
        if not identity.exists():
            made = self._libc.semget(0, 1, self._IPC_CREAT | 0o600)
            self._libc.semctl(made, 0, self._SETVAL, ctypes.c_int(count))
            identity.write_text(str(made))
        self._id = int(identity.read_text())

    def acquire(self, timeout: float = 120.0) -> bool:
        """Take a slot within so many seconds."""
        return self._change(-1, timeout)

    def release(self) -> None:
        """Give it back."""
        self._change(1, 1.0)

    def remove(self) -> None:
        """Remove it from the kernel, which would keep it until the next boot."""
        self._libc.semctl(self._id, 0, self._IPC_RMID, 0)

    def _change(self, by: int, timeout: float) -> bool:
        operation = _SemaphoreOperation(0, by, self._SEM_UNDO)
        limit = _TimeSpec(int(timeout), int(timeout % 1 * 1e9))
        done: int = self._libc.semtimedop(self._id, ctypes.byref(operation), 1, ctypes.byref(limit))
        return done == 0


@dataclass(frozen=True, slots=True)
class Peer:
    """A semaphore to measure: its name and how to open it (directory, slots)."""

    name: str
    open: Callable[[Path, int], Semaphore]


OURS = Peer("ours", Ours)
REFERENCE = Peer("System V", SystemV)
PORTALOCKER = Peer("portalocker", Portalocker)
PEERS = (OURS, REFERENCE, PORTALOCKER, Peer("polled FileLock", PolledFileLock))


@contextlib.contextmanager
def opened(peer: Peer, count: int) -> Iterator[Callable[[], Semaphore]]:
    """A fresh semaphore: the value opens it, in this process or in a forked one."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o700)
        if peer is REFERENCE:
            kernel = SystemV(directory, count)
            try:
                yield lambda: peer.open(directory, count)
            finally:
                kernel.remove()
        else:
            yield lambda: peer.open(directory, count)
