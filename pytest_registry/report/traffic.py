"""The requests that reached the registry, as the process that serves it wrote them down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from pytest_registry.report import records


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One finished request. Nothing in it is a secret: no query, no Authorization header.

    `route` is blob, manifest, upload, tags, referrers, token, catalog, base, or empty; `reference`
    the tag, digest or upload that the path names. `status` 0 is no answer at all. `bytes_in` and
    `bytes_out` count the bodies, `started` is in seconds of the epoch, `seconds` how long it took.
    `account` is empty where nobody was asked or who asked was refused; `worker` is the xdist worker
    whose account it was, else `main`, empty for other accounts.

    `digest` is what an upload was said to be, `mounted_from` the repository that a blob was mounted
    from (it succeeded), `retry_after` the seconds after which the client was told to come back.
    `fault` says in words what of this request was our doing: a fault, or a throttle.
    """

    method: str
    route: str
    path: str
    repository: str
    reference: str
    status: int
    bytes_in: int
    bytes_out: int
    started: float
    seconds: float
    user_agent: str
    account: str
    worker: str
    digest: str = ""
    mounted_from: str = ""
    retry_after: float | None = None
    fault: str = ""

    @property
    def ended(self) -> float:
        """When the answer's last byte left, in seconds of the epoch."""
        return self.started + self.seconds

    @property
    def throttled(self) -> bool:
        """Whether it was refused as one too many, by a throttle of ours."""
        return self.fault.startswith(THROTTLED)

    def describe(self) -> str:
        """One line for people."""
        status = str(self.status) if self.status else "no answer"
        size = f" in={self.bytes_in}" if self.bytes_in else ""
        size += f" out={self.bytes_out}" if self.bytes_out else ""
        notes = [f"mounted from {self.mounted_from}"] if self.mounted_from else []
        notes += [f"Retry-After {self.retry_after:g} s"] if self.retry_after is not None else []
        notes += [self.fault] if self.fault else []
        note = f" ({'; '.join(notes)})" if notes else ""
        path = ascii(self.path)[1:-1]
        return f"{self.method} {path} {status}{size} {self.seconds * 1000:.1f} ms{note}"


THROTTLED = "throttled"
"""How the `fault` of a throttled request begins."""

MAIN = records.MAIN
"""The worker of a request by the run's own account: a run without xdist has no other."""

_END = 64 * 1024
"""Bytes that hold the last requests of a log."""

_FIELDS = frozenset(field.name for field in fields(LoggedRequest))


def read_requests(path: Path) -> Iterator[LoggedRequest]:
    """The requests in a log, in the order of their ends; nothing without a log."""
    return (request for _, request in read_from(path, 0))


def read_last(path: Path) -> Iterator[LoggedRequest]:
    """The last requests of a log that may be long; nothing without a log."""
    try:
        begin = max(0, path.stat().st_size - _END)
        with path.open("rb") as file:
            file.seek(begin)
            begin += len(file.readline()) if begin else 0  # what is left of a line
    except FileNotFoundError:
        return iter(())
    return (request for _, request in read_from(path, begin))


def read_from(path: Path, position: int) -> Iterator[tuple[int, LoggedRequest]]:
    """The requests from a position on, each with the position of its end.

    A line that is only half written is left for later. One that is no JSON is passed over: a full
    disk kept half a line, which the next one was joined to.
    """
    try:
        with path.open("rb") as file:
            file.seek(position)
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return
    for line in lines:
        position += len(line)
        if not line.endswith(b"\n"):
            return
        try:
            values = json.loads(line)
        except ValueError:
            continue
        yield (
            position,
            LoggedRequest(**{name: value for name, value in values.items() if name in _FIELDS}),
        )
