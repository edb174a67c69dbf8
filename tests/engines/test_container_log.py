"""Copying what a registry's container writes, over the connection that is the container's lease."""

from __future__ import annotations

import errno
import io
import os
import socket
import struct
from pathlib import Path

import pytest

from pytest_registry.engines.container import _copy_output


class FullOnce(io.BytesIO):
    """A file that takes nothing the first time, and is still read after it was closed."""

    was_full = False

    def write(self, content: object) -> int:
        if not self.was_full:
            self.was_full = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(content)  # type: ignore[arg-type]

    def close(self) -> None:
        pass


def frame(content: bytes) -> bytes:
    """What Docker sends of a container's standard output."""
    return struct.pack(">BxxxL", 1, len(content)) + content


def test_a_log_that_takes_nothing_for_a_moment_ends_neither_the_copy_nor_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FullOnce()
    monkeypatch.setattr(Path, "open", lambda *_, **__: log)
    ours, engine = socket.socketpair()
    with engine:
        engine.sendall(frame(b"lost\n") + frame(b"kept\n"))
    _copy_output(ours, tmp_path / "log")
    assert log.getvalue() == b"kept\n"
