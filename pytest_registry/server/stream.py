"""The bytes that a client sends, buffered just enough to find lines and heads in them."""

from __future__ import annotations

import selectors
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_registry.server.tls_socket import TlsSocket

_RECEIVE = 16 * 1024
_EMPTY_LIMIT = 64
"""Packets of empty lines alone."""
_LAST_DATA_RECEIVED = 52
"""Where Linux's struct tcp_info has the milliseconds since the last data (tcpi_last_data_recv)."""
_Waiting = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""One that takes no descriptor of its own; with poll it takes any number of a connection's."""
_FIRST, _BEYOND_TEXT = 0x20, 0x7F
_CONTROLS = bytes({*range(0x20), 0x7F} - {ord("\t")})


class LineTooLong(Exception):
    """No end of the line (or head) within the limit."""


class NotHttp(Exception):
    """What comes is no text: most likely TLS, spoken to a server that speaks none."""


def controls_in(text: bytes) -> int:
    """How many control characters there are but tabs. CR and LF are some: alone they end lines."""
    return len(text) - len(text.translate(None, _CONTROLS))


class ByteStream:
    """Reads from a socket; what was received too early waits for the next read.

    Raises TimeoutError after `timeout` seconds without a byte, which the socket itself keeps too.
    """

    def __init__(self, connection: socket.socket | TlsSocket, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._ahead = b""
        # A socket fills a block in one system call, and the kernel keeps its timeout.
        self._plain = connection if isinstance(connection, socket.socket) else None
        self._flags = 0 if self._plain is None else socket.MSG_WAITALL

    def head(self, limit: int) -> bytes | None:
        """A request's head without its empty line; None if the client is done.

        Raises LineTooLong over `limit` bytes and ConnectionError if it breaks off in the middle.
        Raises NotHttp at the first byte: Docker tries TLS first, and would wait 10 s for an answer.
        """
        # RFC 9112, section 2.2: empty lines before a request are to be ignored.
        empty = 0
        while not (ahead := self._ahead.lstrip(b"\r\n")):
            if empty > _EMPTY_LIMIT:
                raise LineTooLong
            empty += 1
            self._ahead = self._receive()
            if not self._ahead:
                return None
        self._ahead = ahead
        if not _FIRST < ahead[0] < _BEYOND_TEXT:
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
            if self._plain is not None and filled < len(view):
                self._await_more(self._plain)
        return filled

    def _await_more(self, connection: socket.socket) -> None:
        """Wait for a byte or the end for as long as is left of the timeout.

        A block that came in part took the whole timeout, of which the client may have been silent
        for any part: that counts.
        """
        with _Waiting() as waiting:
            waiting.register(connection, selectors.EVENT_READ)
            if not waiting.select(max(0.0, self._timeout - _silence(connection))):
                raise TimeoutError

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_RECEIVE)
        except BlockingIOError:
            raise TimeoutError from None

    def _until(self, mark: bytes, limit: int) -> bytes | None:
        """What comes before a mark, all of it within the timeout from its first bytes on."""
        received, end_of_time = self._ahead, 0.0
        while (end := received.find(mark)) < 0:
            if len(received) > limit:
                raise LineTooLong
            if received:
                end_of_time = self._in_time(end_of_time)
            block = self._receive()
            if not block:
                if received.strip(b"\r\n"):
                    raise ConnectionAbortedError
                return None
            received = received + block if received else block
        if end > limit:
            raise LineTooLong
        self._ahead = received[end + len(mark) :]
        return received[:end]

    def _in_time(self, end: float) -> float:
        """The end of the time for a head or line, of which something is there."""
        now = time.monotonic()
        if end and now > end:
            raise TimeoutError
        return end or now + self._timeout


def _silence(connection: socket.socket) -> float:
    """For how many seconds nothing has come; 0 where the system does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return 0.0
    told = connection.getsockopt(socket.IPPROTO_TCP, option, _LAST_DATA_RECEIVED + 4)
    if len(told) < _LAST_DATA_RECEIVED + 4:
        return 0.0
    return int.from_bytes(told[_LAST_DATA_RECEIVED:], sys.byteorder) / 1000
