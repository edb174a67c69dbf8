"""The index's events in a file: one line of JSON per change, appended before it takes effect."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Sequence
from typing import Protocol

from pytest_registry.errors import StateError
from pytest_registry.server.store.index import Event, Index

_BEGINNING = '[["'
"""How each line begins: half a line is told by it from what others wrote."""


class Journal(Protocol):
    """Where changes are recorded."""

    def record(self, events: Sequence[Event]) -> None:
        """Record one change: all of its events or, if OSError is raised, none of them."""

    def check_place(self) -> None:
        """Raise OSError where the directory is not there, or is another one now."""

    def close(self) -> None:
        """Stop recording."""


class NoJournal:
    """For what is kept in memory only."""

    def record(self, events: Sequence[Event]) -> None:
        """Record nothing."""

    def check_place(self) -> None:
        """Memory is always there."""

    def close(self) -> None:
        """Do nothing."""


class FileJournal:
    """`journal` in a directory, and `lock` beside it, which keeps a second server away.

    Raises StateError if a server holds the lock, or if the directory holds something else: nothing
    of it is touched then.
    """

    def __init__(self, directory: str) -> None:
        _check_ours(directory)
        self._directory = directory
        self._path = f"{directory}/journal"
        self._lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateError(
                f"serve from {directory}",
                "another registry is serving from that directory",
                "stop it, or name another directory",
                section="served-already",
            ) from None
        except OSError as error:
            os.close(self._lock)
            raise StateError(
                f"serve from {directory}",
                f"its file system has no working locks ({error})",
                "name a directory on a local file system",
                section="no-locks",
            ) from error
        self._file = _open(self._path)

    def replay(self, index: Index) -> None:
        """Bring an empty index to the recorded state, and the file to its shortest form.

        Raises StateError, and leaves the file as it is, if it is no journal of ours.
        """
        with open(self._path, encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith("\n") and line.startswith(_BEGINNING[: len(line)]):
                    break  # the server was killed while it wrote this, the last line
                try:
                    _apply(index, line)
                except (ValueError, TypeError, KeyError, RecursionError):
                    raise StateError(
                        f"serve from {self._directory}",
                        f"line {number} of its journal is none that a registry wrote",
                        "name another directory",
                        section="not-a-registrys",
                    ) from None
        self._rewrite(index)

    def record(self, events: Sequence[Event]) -> None:
        """Append one line; a half-written one (the disk is full) is taken back."""
        before = os.fstat(self._file).st_size
        line = _line(events)
        try:
            _write_whole(self._file, line)
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def check_place(self) -> None:
        """Raise OSError where the directory that we locked is moved, unmounted or removed."""
        try:
            there = os.stat(f"{self._directory}/lock")
        except FileNotFoundError:
            there = None
        if there is None or not os.path.samestat(there, os.fstat(self._lock)):
            raise OSError(errno.ESTALE, "the registry's storage is away", self._directory)

    def close(self) -> None:
        """Close the file and give up the lock; what is recorded afterwards raises OSError."""
        # Who comes late must not write into what else is opened with the same number.
        file, self._file = self._file, -1
        os.close(file)
        with contextlib.suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a child that was forked has it open, too
        os.close(self._lock)

    def _rewrite(self, index: Index) -> None:
        shorter = f"{self._path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(shorter)
        file = _open(shorter)
        for event in index.events():
            _write_whole(file, _line([event]))
        os.replace(shorter, self._path)
        os.close(self._file)
        self._file = file


def _check_ours(directory: str) -> None:
    """Refuse what others have put there: what no journal names is deleted from a store."""
    names = set(os.listdir(directory))
    # A server that was killed at once has left its lock alone.
    if not {"lock", "journal"} <= names and names - {"lock"}:
        raise StateError(
            f"serve from {directory}",
            "it holds files and is no registry's directory",
            "name an empty or a new one",
            section="not-a-registrys",
        )


def _apply(index: Index, line: str) -> None:
    events = json.loads(line)
    if not isinstance(events, list) or not events:
        raise ValueError(line)
    for event in events:
        index.apply(tuple(event))


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _write_whole(file: int, line: bytes) -> None:
    if os.write(file, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(events: Sequence[Event]) -> bytes:
    return json.dumps(events, separators=(",", ":")).encode() + b"\n"
