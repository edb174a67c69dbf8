"""The log of requests: one line of JSON each, written before the client has its answer."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

from pytest_registry.security.credentials import redacted
from pytest_registry.server import RequestRecord


class RequestLog:
    """The file that requests are appended to; `report.traffic` reads it.

    None of `secrets` stands in it, though a client may put its password into its user agent.
    """

    def __init__(self, path: Path, secrets: Sequence[str] = ()) -> None:
        self._secrets = secrets
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, record: RequestRecord, worker: str, notes: Mapping[str, Any]) -> None:
        """Append one request. Whoever looks afterwards finds it: nothing is kept back.

        Raises OSError, and keeps nothing of the request, on a full disk.
        """
        if any(each in record.user_agent for each in self._secrets):
            record = record._replace(user_agent=redacted(record.user_agent, self._secrets))
        line = line_of(record, worker, notes).encode("ascii")
        # One write in append mode: lines of threads that write at the same time do not mix.
        written = os.write(self._descriptor, line)
        if written != len(line):
            self._take_back(line[:written])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _take_back(self, half: bytes) -> None:
        """Remove half a line, which the next one would be joined to."""
        start = os.fstat(self._descriptor).st_size - len(half)
        # Another thread may have written since, if its disk has room again: that stays.
        if os.pread(self._descriptor, len(half), start) == half:
            os.ftruncate(self._descriptor, start)

    def close(self) -> None:
        """Close the file; what is added afterwards raises OSError."""
        # Who comes late must not write into what else is opened with the same number.
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


def line_of(record: RequestRecord, worker: str, notes: Mapping[str, Any]) -> str:
    """A request as LoggedRequest's members, `notes` being those that the record does not have.

    Put together by hand: a JSON encoder would take as long as all else that the log costs.
    """
    text = (
        f'{{"method":{quoted(record.method)},"route":"{record.route}",'
        f'"path":{quoted(record.path)},"repository":{quoted(record.repository)},'
        f'"reference":{quoted(record.reference)},"status":{record.status},'
        f'"bytes_in":{record.bytes_in},"bytes_out":{record.bytes_out},'
        f'"started":{record.started!r},"seconds":{record.seconds!r},'
        f'"user_agent":{quoted(record.user_agent)},"account":{quoted(record.account or "")},'
        f'"worker":"{worker}"'
    )
    return f"{text},{json.dumps(notes)[1:]}\n" if notes else f"{text}}}\n"
