"""One line of JSON per operation, appended to the run's event log by every process of the run."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pytest_registry.errors import StateError

Outcome = Literal["done", "failed", "timeout", "interrupted"]
"""`timeout` and `interrupted` never had a slot."""

MAIN = "main"
"""The worker of a run without xdist, of operations and of requests."""

OPERATION = "operation"
"""The value of `event` in the log's lines that are operations; other events are others' lines."""


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One pull or push, after its end.

    `reference` is the tag or digest in `repository`; both are empty where a test took a slot for
    something that it did not name. `start` is when it asked for a slot, in seconds of the epoch; it
    ran from `start + waited` on, for `duration` seconds. `transferred` is in bytes, 0 where nobody
    told them. `error` is empty, or what was raised.
    """

    kind: str
    repository: str
    reference: str
    start: float
    waited: float
    duration: float
    transferred: int
    worker: str
    test: str
    outcome: Outcome
    error: str = ""

    @property
    def held_a_slot(self) -> bool:
        """Whether the operation began at all."""
        return self.outcome in ("done", "failed")


_FIELDS = frozenset(field.name for field in fields(OperationRecord))


def append(log: Path, record: OperationRecord) -> None:
    """Add a record to the log, which is made with mode 0600; raises StateError.

    One write in append mode: lines of processes that write at the same time do not mix.
    """
    line = json.dumps({"event": OPERATION, **asdict(record)}) + "\n"
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            _write(descriptor, line.encode(), log)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StateError(
            f"append to the event log {log}", str(error), section="cannot-write"
        ) from error


def _write(descriptor: int, line: bytes, log: Path) -> None:
    """Append a line; raises OSError where the disk takes half of it, which is ended then."""
    written = os.write(descriptor, line)
    if written < len(line):
        if written:
            _end_line(log, os.lseek(descriptor, 0, os.SEEK_CUR) - 1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _end_line(log: Path, last: int) -> None:
    """Put the end of a line at the position of half a line's last byte.

    It is not taken back, as another process may have appended since. That byte is ours in any case,
    and has its room on the full disk.
    """
    with log.open("r+b") as file:
        file.seek(last)
        file.write(b"\n")


def read(log: Path) -> Iterator[OperationRecord]:
    """The log's operations, in the order of their ends; nothing if there is no log.

    Other events are passed over, and so is a line that somebody was killed in the middle of, or the
    disk had no room for.
    """
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        entry = _entry(line)
        if entry.get("event") == OPERATION and entry.keys() >= _FIELDS:
            yield OperationRecord(**{name: entry[name] for name in _FIELDS})


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
