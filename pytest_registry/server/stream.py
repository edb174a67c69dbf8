"""The bytes that a client sends, buffered just enough to find lines and heads in them."""

from __future__ import annotations

import socket

_RECEIVE = 16 * 1024
_FIRST, _BEYOND_TEXT = 0x20, 0x7F


class LineTooLong(Exception):
    """No end of the line (or head) within the limit."""


class NotHttp(Exception):
    """What comes is no text: most likely TLS, spoken to a server that speaks none."""


class ByteStream:
    """Reads from a socket; what was received too early waits for the next read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ahead = b""
        # A blocking socket fills a block in one system call; TLS, with its own timeouts, cannot.
        self._flags = socket.MSG_WAITALL if connection.gettimeout() is None else 0

    def head(self, limit: int) -> bytes | None:
        """A request's head without its empty line; None if the client is done.

        Raises LineTooLong over `limit` bytes and ConnectionError if it breaks off in the middle.
        Raises NotHttp at the first byte: Docker tries TLS first, and would wait 10 s for an answer.
        """
        if not self._ahead:
            self._ahead = self._connection.recv(_RECEIVE)
        # RFC 9112, section 2.2: empty lines before a request are to be ignored.
        self._ahead = self._ahead.lstrip(b"\r\n")
        if self._ahead and not _FIRST < self._ahead[0] < _BEYOND_TEXT:
            raise NotHttp
        return self._until(b"\r\n\r\n", limit)

    def line(self, limit: int) -> bytes | None:
        """One line without its CRLF."""
        return self._until(b"\r\n", limit)

    def read_into(self, view: memoryview) -> int:
        """Fill `view`; fewer bytes only where the client has ended."""
        filled = min(len(self._ahead), len(view))
        if filled:
            view[:filled] = self._ahead[:filled]
            self._ahead = self._ahead[filled:]
        while filled < len(view):
            try:
                count = self._connection.recv_into(view[filled:], 0, self._flags)
            except BlockingIOError:
                raise TimeoutError from None  # how the kernel's own timeout shows
            if count == 0:
                break
            filled += count
        return filled

    def _until(self, mark: bytes, limit: int) -> bytes | None:
        received = self._ahead
        while (end := received.find(mark)) < 0:
            if len(received) > limit:
                raise LineTooLong
            block = self._connection.recv(_RECEIVE)
            if not block:
                if received.strip(b"\r\n"):
                    raise ConnectionAbortedError
                return None
            received = received + block if received else block
        if end > limit:
            raise LineTooLong
        self._ahead = received[end + len(mark) :]
        return received[:end]
