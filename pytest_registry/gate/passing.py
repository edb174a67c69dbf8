"""Bodies on their way through the gateway: answers to the client, uploads to the registry."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain

from pytest_registry.gate.origin import BLOCK
from pytest_registry.server import Content, Request
from pytest_registry.server.store.disk import FileContent

_BUFFERED = 64 * 1024
"""More than an answer's reader keeps of the body while it looks for the head's end."""

_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM})
"""How a kernel says that it does not splice, or not from such a socket."""

_BROKE_OFF = "the registry behind the gateway broke off"


class Forwarded:
    """An answer's body on its way through; `done` is told whether it was read to its end."""

    def __init__(
        self,
        response: http.client.HTTPResponse,
        length: int,
        upstream: socket.socket | None,
        done: Callable[[bool], None],
    ) -> None:
        self._response = response
        self._upstream = upstream
        self._done = done
        self._left = length
        self.length = length

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The blocks as they come; raises ConnectionError where the registry breaks off."""
        view = memoryview(bytearray(min(BLOCK, max(1, self._left))))
        while self._left:
            count = self._response.readinto(view)
            if not count:
                raise ConnectionAbortedError(_BROKE_OFF)
            self._left -= count
            yield view[:count]

    def send_to(self, client: socket.socket) -> Iterator[int]:
        """Send it without a copy in this process where the kernel can; see the server's SendTo."""
        upstream = self._upstream
        if sys.platform == "linux" and upstream is not None and self._left > _BUFFERED:
            early = self._response.read1(_BUFFERED)  # else the reader's own buffer is passed over
            self._left -= len(early)
            yield len(early)
            client.sendall(early)
            yield from self._spliced(upstream.fileno(), client.fileno())
        for block in self.blocks():
            yield len(block)
            client.sendall(block)

    def _spliced(self, source: int, target: int) -> Iterator[int]:
        """Move pages from socket to pipe to socket, each part told before it goes.

        Nothing is moved where the kernel, or what stands for one in a sandbox, cannot do that.
        """
        if sys.platform != "linux":
            return
        with _pipe() as (reader, writer):
            while self._left:
                wanted = min(BLOCK, self._left)
                try:
                    count = os.splice(source, writer, wanted, flags=os.SPLICE_F_MOVE)
                except OSError as error:
                    if error.errno in _CANNOT:
                        return
                    raise
                if not count:
                    raise ConnectionAbortedError(_BROKE_OFF)
                self._left -= count
                yield count
                more = os.SPLICE_F_MORE if self._left else 0
                while count:
                    count -= os.splice(reader, target, count, flags=os.SPLICE_F_MOVE | more)

    def close(self) -> None:
        """Tell whether the body was read to its end."""
        self._response.close()
        self._done(not self._left)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe, as large as a block where the kernel grants it."""
    reader, writer = os.pipe()
    try:
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(PermissionError):  # this user's pipes hold too much already
                fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, BLOCK)
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        # None, which typeshed does not know of, where the kernel's timeout is over.
        block: bytes | None = response.read(BLOCK)
        if block is None:
            raise TimeoutError("it stands still in the midst of its answer")
        if not block:
            return
        yield block


def read_whole(response: http.client.HTTPResponse) -> bytes | Content:
    """The body of an answer that does not tell its length, which a content has to know.

    So it is read to its end before any of it is passed on: a fault has to find its middle. What is
    long goes into a file without a name, so that memory stays constant. Raises HTTPException and
    ConnectionError where the registry breaks off, TimeoutError where it stands still, OSError on a
    full disk.
    """
    blocks = _blocks(response)
    first, second = next(blocks, b""), next(blocks, None)
    if second is None:
        return first
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the content closes it
    try:
        for block in chain((first, second), blocks):
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
        return FileContent(file, 0, file.tell())
    except BaseException:
        file.close()
        raise


def send_body(connection: http.client.HTTPConnection, request: Request) -> None:
    """Pass the body on. A registry that refuses it early has answered: then that is read."""
    chunked = request.body.length is None
    view = memoryview(bytearray(min(BLOCK, request.body.length or BLOCK)))
    try:
        while count := request.body.read_into(view):
            if chunked:
                connection.send(b"%x\r\n" % count)
            connection.send(view[:count])
            if chunked:
                connection.send(b"\r\n")
        if chunked:
            connection.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return


class Nothing:
    """The body of a request that has none."""

    received = 0
    length = 0
    unread = 0

    def read_into(self, view: memoryview) -> int:  # noqa: ARG002 - the protocol's signature
        """Read nothing."""
        return 0
