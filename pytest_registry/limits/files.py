"""The slots themselves: N lock files, each with a named pipe beside it.

The lock is the authority: whoever has it holds the slot, so that never more than N hold, whatever
else goes wrong. The pipe only wakes: the holder keeps it open for writing, and when it closes it,
or dies, everybody who watches the reading end sees a hang-up. The kernel does both for a process
that is killed.
"""

from __future__ import annotations

import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pytest_registry.errors import OptionError, StateError
from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.directory import LimitWarning, no_real_locks
from pytest_registry.limits.policy import Kind
from pytest_registry.limits.slots import Event, Holder
from pytest_registry.security.files import cannot_write

TICK = 0.2
"""Seconds after which a waiter looks again even if nothing hung up."""
TRANSITION = 0.002
"""Seconds between two looks at a slot that is locked but has no pipe open: its holder is just
taking or leaving it, or is not one of ours."""
_LINE = 4096
"""Bytes that a holder's description may have at most."""
_EACH = 2
"""Open files of a slot: its lock, and the pipe's reading end."""
_FEW = 50
"""Slots for which there is room in any process: no need to look for it, nor to import what does."""
_SPARE = 64
"""Open files that must be left to the tests, and to those who wait for a slot."""


class SlotFiles:
    """The slots of one kind in one directory, as this process sees them.

    `owner` is any object that stands for one holding. Two threads that share a lock's descriptor
    would both get the lock, so a table under the descriptors' lock says what this process holds.
    """

    def __init__(self, directory: Path, count: int, descriptors: Descriptors) -> None:
        self._directory = directory
        self._descriptors = descriptors
        self._held: dict[int, object] = {}
        self._paths = [str(directory / f"slot-{index:03}") for index in range(count)]
        self._pipes = [f"{path}.pipe" for path in self._paths]
        flags = os.O_RDWR | os.O_CREAT
        try:
            self._locks = [descriptors.open(self, path, flags) for path in self._paths]
            self._readers = [open_reader(descriptors, self, path) for path in self._pipes]
        except OSError:
            descriptors.close_all(self)  # or whoever tells of it could not open anything either
            raise

    def take(self, owner: object, holder: Holder) -> bool:
        """Lock a free slot for `owner`, described by `holder`; never waits; raises StateError."""
        with self._descriptors.lock:
            for index in range(len(self._locks)):
                if index not in self._held and self._lock(index, owner, holder):
                    return True
            return False

    def give_back(self, owner: object) -> None:
        """Free the slot of `owner`, if it has one, and close all that it opened.

        First the lock, then the pipe that wakes: who wakes finds the lock free.
        """
        with self._descriptors.lock:
            for index, holding in list(self._held.items()):
                if holding is owner:
                    fcntl.flock(self._locks[index], fcntl.LOCK_UN)
                    del self._held[index]
            self._descriptors.close_all(owner)

    def next_event(self) -> Event:
        """What the first waiter waits for after an attempt that found every slot locked."""
        held = [reader for reader in self._readers if has_writer(reader)]
        return Event(held, TICK if len(held) == len(self._readers) else TRANSITION)

    def idle(self) -> dict[int, bytes]:
        """The slots that nobody holds now, each with its last holder's line."""
        return {
            index: os.pread(self._locks[index], _LINE, 0)
            for index, reader in enumerate(self._readers)
            if not has_writer(reader)
        }

    def holders(self) -> Iterator[Holder]:
        """Who holds slots now. One that takes a slot at this moment may still show the last."""
        for lock, reader in zip(self._locks, self._readers, strict=True):
            if has_writer(reader):
                yield Holder.from_line(os.pread(lock, _LINE, 0))

    def _lock(self, index: int, owner: object, holder: Holder) -> bool:
        lock = self._locks[index]
        try:
            if not self._try_lock(lock):
                return False
            self._held[index] = owner
            self._check_linked(lock)
            open_writer(self._descriptors, owner, self._pipes[index])
            _write(lock, holder.to_line(time.time())[:_LINE], self._directory)
        except BaseException:
            # An interrupt may come after any step, also between taking the lock and noting it.
            fcntl.flock(lock, fcntl.LOCK_UN)
            self.give_back(owner)
            raise
        return True

    def _try_lock(self, lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise no_real_locks(self._directory, error) from error
        return True

    def _check_linked(self, lock: int) -> None:
        """See that the lock that we have is still the one that others find; raises StateError."""
        if os.fstat(lock).st_nlink == 0:
            raise StateError(
                f"take a slot in {self._directory}",
                "its files were removed or replaced while they were in use",
                "leave the directory alone while tests run, then run them again",
                section="files-removed",
            )


def make_room(kind: Kind, count: int) -> None:
    """Let this process have the open files of `count` slots besides what it could have before.

    Raises OptionError where the system does not let it.
    """
    if count <= _FEW:
        return
    import resource

    needed = _EACH * count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    more = soft + needed if hard == resource.RLIM_INFINITY else min(soft + needed, hard)
    with suppress(ValueError, OSError):  # macOS takes less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        soft = more
    wanted = len(list(Path("/dev/fd").iterdir())) + needed + _SPARE
    if soft < wanted:
        raise OptionError(
            f"use {count} as the registry's {kind}_limit",
            f"a slot takes {_EACH} open files, and this process may have no more than {soft}",
            f"lower --registry-{kind}-limit, give 0 for none, or allow more open files:"
            f" `ulimit -n {wanted}`",
        )


def agreed_count(directory: Path, count: int, descriptors: Descriptors) -> int:
    """The number of slots that all users of `directory` keep to; warns where it is not `count`.

    The first user writes it. Every user holds a shared lock on the file as long as it lives, so
    that the number can change when, and only when, nobody uses the directory; raises StateError.
    """
    record = descriptors.open(descriptors, str(directory / "limit"), os.O_RDWR | os.O_CREAT)
    agreed = b""
    while not agreed:  # only ever again if somebody was killed between locking and writing
        _write_if_unused(directory, record, count)
        # Waits only for somebody who is writing, which takes microseconds. The change from the
        # exclusive lock is not atomic: another may have written after us, so we read.
        fcntl.flock(record, fcntl.LOCK_SH)
        agreed = os.pread(record, 20, 0)
    if int(agreed) != count:
        warnings.warn(
            f"the limit stays {int(agreed)} instead of {count}: other processes that use the same"
            f" registry now were started with it (see {directory})",
            LimitWarning,
            stacklevel=2,
        )
    return int(agreed)


def _write_if_unused(directory: Path, record: int, count: int) -> None:
    try:
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(record, f"{count}\n".encode().ljust(20), directory)
    except BlockingIOError:
        return
    except OSError as error:
        raise no_real_locks(directory, error) from error
    except BaseException:
        fcntl.flock(record, fcntl.LOCK_UN)  # others wait for who is writing
        raise


def _write(descriptor: int, content: bytes, directory: Path) -> None:
    """Write to the beginning of a file in `directory`; raises StateError."""
    try:
        os.pwrite(descriptor, content, 0)
    except OSError as error:
        raise cannot_write("use the registry's limits", directory, error) from error


def open_reader(descriptors: Descriptors, owner: object, pipe: str) -> int:
    """The reading end of a named pipe, which is made where it is missing."""
    return _open_pipe(descriptors, owner, pipe, os.O_RDONLY | os.O_NONBLOCK)


def open_writer(descriptors: Descriptors, owner: object, pipe: str) -> int:
    """The writing end of a named pipe, which is made where it is missing.

    Opened for reading as well, or it would fail without a reader. Nobody ever writes.
    """
    return _open_pipe(descriptors, owner, pipe, os.O_RDWR | os.O_NONBLOCK)


def has_writer(reader: int) -> bool:
    """Whether anybody has the pipe open for writing; without, an empty pipe is at its end."""
    try:
        return os.read(reader, 1) != b""
    except BlockingIOError:
        return True


def _open_pipe(descriptors: Descriptors, owner: object, pipe: str, flags: int) -> int:
    try:
        return descriptors.open(owner, pipe, flags)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkfifo(pipe, 0o600)
        return descriptors.open(owner, pipe, flags)
