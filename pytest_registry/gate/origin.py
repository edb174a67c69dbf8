"""One host that requests are passed on to, over connections that are kept."""

from __future__ import annotations

import http.client
import selectors
import socket
import ssl

from pytest_registry.server.server import let_kernel_time_out

BLOCK = 1024 * 1024
"""Bytes that are passed on at once."""

TIMEOUT = 120.0
"""Seconds that the host may be silent for."""


class Origin:
    """A host by its `SCHEME://HOST:PORT`. Used by many threads; `tls` is None for plain HTTP."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        self.url = url
        self.tls = tls
        self._host = url.partition("://")[2]
        self._idle: list[http.client.HTTPConnection] = []

    def kept(self) -> http.client.HTTPConnection | None:
        """A connection that was kept, None if there is none or the host has closed them all."""
        while (found := self._taken()) is not None:
            if found.sock is not None and not _has_something(found.sock):
                return found
            found.close()  # something to read where nothing is owed: it is the end
        return None

    def give(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose answer was read to its end."""
        if connection.sock is not None:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that are kept."""
        while (found := self._taken()) is not None:
            found.close()

    def _taken(self) -> http.client.HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:  # without a look before: another thread may take the last one meanwhile
            return None

    def connect(self) -> http.client.HTTPConnection:
        """A new connection; raises OSError."""
        if self.tls is not None:
            return http.client.HTTPSConnection(
                self._host, timeout=TIMEOUT, blocksize=BLOCK, context=self.tls
            )
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT, blocksize=BLOCK)
        connection.connect()
        # With Python's own timeouts a socket cannot be spliced from.
        let_kernel_time_out(connection.sock, TIMEOUT)
        return connection


def _has_something(connection: socket.socket) -> bool:
    # No bare select(): it knows the first 1024 descriptors of a process only.
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))
