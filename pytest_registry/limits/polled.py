"""File slots for a machine without named pipes or `flock` (Windows): filelock, asked now and then.

The same limits and the same crash-proofness as `ring.py`, by the same kind of lock; but a free
slot is noticed only at the next look, and whoever looks first gets it: no order is promised.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.directory import LimitWarning, no_real_locks, private_directory
from pytest_registry.limits.policy import Kind
from pytest_registry.limits.slots import UNKNOWN_HOLDER, Event, Holder
from pytest_registry.security.files import cannot_write

INTERVAL = 0.05
"""Seconds between two looks of one waiter."""
_BINARY = getattr(os, "O_BINARY", 0)


class PolledSlots:
    """The slots of one registry as files in `directory`; used where `ring.RingSlots` cannot be."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.descriptors = Descriptors()

    @property
    def scope(self) -> str:
        """The directory."""
        return str(self._directory)

    def claim(self, kind: Kind, count: int, holder: Holder) -> PolledClaim:
        """Ask for one of `count` slots; raises StateError, warns if another count is recorded."""
        directory = private_directory(self._directory / kind)
        agreed = _recorded_count(directory, count, self.descriptors)
        paths = [directory / f"slot-{index:03}" for index in range(agreed)]
        return PolledClaim(paths, self.descriptors, holder)

    def holders(self, kind: Kind, count: int) -> Sequence[Holder]:
        """Who holds slots now; a holder that was killed may show until its slot is used again."""
        return self.claim(kind, count, UNKNOWN_HOLDER).holders()


class PolledClaim:
    """One wish for a slot (the protocol `slots.Claim`).

    Each attempt opens the lock files anew, so that two threads never share a lock's descriptor.
    """

    def __init__(self, paths: Sequence[Path], descriptors: Descriptors, holder: Holder) -> None:
        self._paths = paths
        self._descriptors = descriptors
        self._generation = descriptors.generation
        self._holder = holder
        self._taken: Path | None = None

    def attempt(self) -> bool:
        """Take the first slot that is free."""
        for path in self._paths:  # noqa: SIM110 - an interrupt is lost where a generator is dropped
            if self._take(path):
                return True
        return False

    def event(self) -> Event:
        """Nothing tells when a slot comes free."""
        return Event((), INTERVAL)

    def release(self) -> None:
        """Give back the slot; nothing in a child that was forked since."""
        if self._generation != self._descriptors.generation:
            return
        if self._taken is not None:
            with suppress(OSError):  # the slot's next holder describes itself anyway
                self._describe(self._taken, b"")
        self._taken = None
        self._descriptors.close_all(self)

    def trouble(self) -> str:
        """Empty: a lock is held until it is given back."""
        return ""

    def holders(self) -> Sequence[Holder]:
        """Who said that they hold a slot."""
        lines = [_read(_described_by(path)) for path in self._paths]
        return [Holder.from_line(line) for line in lines if line.endswith(b"\n")]

    def _take(self, path: Path) -> bool:
        """Lock the file at `path`; what fails in the middle is taken back by `release`."""
        lock = self._descriptors.open(self, str(path), os.O_RDWR | os.O_CREAT | _BINARY)
        try:
            if not _try_lock(lock, path):
                self._descriptors.close(self, lock)
                return False
            self._taken = path
            self._describe(path, self._holder.to_line(time.time()))
        except OSError as error:
            raise cannot_write("use the registry's limits", path.parent, error) from error
        return True

    def _describe(self, path: Path, line: bytes) -> None:
        """Beside the lock, because Windows lets nobody read what is locked."""
        _write(self._descriptors, self, _described_by(path), line, os.O_TRUNC)


def _try_lock(lock: int, path: Path) -> bool:
    from filelock import lock_descriptor

    try:
        return bool(lock_descriptor(lock, blocking=False))
    except OSError as error:
        raise no_real_locks(path.parent, error) from error


def _recorded_count(directory: Path, count: int, descriptors: Descriptors) -> int:
    """The count that the first user of `directory` recorded; warns where it is not `count`.

    Raises StateError.
    """
    record = directory / "limit"
    try:
        _write(descriptors, descriptors, record, f"{count}\n".encode(), os.O_EXCL)
    except FileExistsError:
        recorded = int(record.read_text() or count)
        if recorded != count:
            warnings.warn(
                f"the limit stays {recorded} instead of {count}: it was first used with that"
                f" (remove {directory} while no tests run to change it)",
                LimitWarning,
                stacklevel=2,
            )
        return recorded
    except OSError as error:
        raise cannot_write("use the registry's limits", directory, error) from error
    return count


def _described_by(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write(descriptors: Descriptors, owner: object, path: Path, content: bytes, flag: int) -> None:
    file = descriptors.open(owner, str(path), os.O_WRONLY | os.O_CREAT | _BINARY | flag)
    try:
        os.write(file, content)
    finally:
        descriptors.close(owner, file)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
