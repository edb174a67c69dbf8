"""The server: a listening socket and a thread for every connection.

Threads, because a registry moves large bodies: receiving, hashing, writing and sending all happen
outside of the interpreter's lock, and a thread that blocks needs no machinery.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from pytest_registry.server.application import Application
from pytest_registry.server.clock import Clock
from pytest_registry.server.connection import Connection, Report
from pytest_registry.server.errors import trace_of
from pytest_registry.server.records import RequestRecord
from pytest_registry.server.settings import ServerSettings
from pytest_registry.server.store.store import open_store
from pytest_registry.server.tls import server_context

if TYPE_CHECKING:
    from pytest_registry.server.tls_socket import TlsSocket

_BACKLOG = 1024
_CLOSE_SECONDS = 5.0
_ACCEPT_PAUSE = 0.05


class RegistryServer:
    """An OCI registry on a socket.

    Bound when it is made: `url` is valid at once, and connections wait in the backlog until it
    serves. As a context manager it serves in a thread; `serve_forever` serves in the caller's.
    Raises OSError if it cannot bind and StateError if its storage is in use or somebody else's.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._tls = server_context(settings)
        self._listener = _listen(settings.host, settings.port)
        try:
            self._store = open_store(settings.storage, settings.upload_timeout)
        except BaseException:
            self._listener.close()
            raise
        self._log = _quiet(settings.log)
        self._report = _report(settings, self._log)
        self._application = Application(
            self._store,
            settings.accounts(),
            settings.interceptor,
            self._log,
            settings.endpoints(),
        )
        self._clock = Clock()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.setblocking(False)
        self._stopped = False
        self._serving = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connections: dict[threading.Thread, socket.socket] = {}
        self.port = int(self._listener.getsockname()[1])
        """The port that it listens on."""

    @property
    def host(self) -> str:
        """`HOST:PORT`, as it stands in front of a repository's name."""
        host = self._settings.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://HOST:PORT` or `https://HOST:PORT`."""
        return f"{self._settings.scheme}://{self.host}"

    @property
    def wakeup_fd(self) -> int:
        """For `signal.set_wakeup_fd`: what is written there wakes `serve_forever`.

        Without it a signal that comes in the instant before it falls asleep would be handled only
        when the next client comes.
        """
        return self._wake_writer.fileno()

    def start(self) -> None:
        """Serve in a thread of this process."""
        self._thread = threading.Thread(target=self.serve_forever, name="registry", daemon=True)
        self._thread.start()

    def serve_forever(self) -> None:
        """Accept connections until `stop` or `close` is called."""
        with self._serving, selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self._stopped:
                for key, _ in selector.select():
                    if key.fileobj is self._listener:
                        self._accept()

    def stop(self) -> None:
        """Make `serve_forever` return. May be called from a signal handler, and twice."""
        self._stopped = True  # no Event: a second signal would wait for the lock of the first one's
        with contextlib.suppress(OSError):
            self._wake_writer.send(b".")

    def close(self) -> None:
        """Stop, cut every connection, drop open uploads, release port and storage.

        Returns after at most a few seconds; what was stored stays on disk. May be called twice.
        """
        self.stop()
        if self._thread is not None:
            self._thread.join()
        with self._serving:
            if self._listener.fileno() < 0:
                return
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # a child that was forked has it, too
            for each in (self._listener, self._wake_reader, self._wake_writer):
                each.close()
            self._cut_connections()
            self._store.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        try:
            accepted, address = self._listener.accept()
        except BlockingIOError:
            return  # the client has gone again
        except OSError as error:
            self._log(f"cannot accept a connection: {error}")
            time.sleep(_ACCEPT_PAUSE)  # out of file descriptors: do not spin until some are free
            return
        client = f"{address[0]}:{address[1]}"
        thread = threading.Thread(target=self._serve, args=(accepted, client), daemon=True)
        self._connections[thread] = accepted
        try:
            thread.start()
        except RuntimeError as error:
            self._log(f"cannot serve {client}: {error}")
            del self._connections[thread]
            accepted.close()

    def _serve(self, accepted: socket.socket, client: str) -> None:
        """One connection's thread."""
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport: socket.socket | TlsSocket = accepted
            if self._tls is None:
                let_kernel_time_out(accepted, self._settings.timeout)
            else:
                from pytest_registry.server.tls_socket import TlsSocket  # imports ssl

                accepted.settimeout(self._settings.timeout)
                transport = TlsSocket(self._tls, accepted)
                # Here, not where it was accepted: a client that is slow to shake hands waits alone.
                transport.do_handshake()
            Connection(
                transport=transport,
                client=client,
                own_url=self.url,
                application=self._application,
                clock=self._clock,
                timeout=self._settings.timeout,
                report=self._report,
                log=self._log,
            ).serve()
        except OSError as error:
            self._log(f"{client} broke off: {error}")
        except Exception as error:  # the server outlives it, and its log tells
            self._log(trace_of(error))
        finally:
            accepted.close()
            del self._connections[threading.current_thread()]

    def _cut_connections(self) -> None:
        deadline = time.monotonic() + _CLOSE_SECONDS
        connections = list(self._connections.items())
        # All of them before any is waited for: one handler that stands still keeps no other's.
        for _, connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread, _ in connections:
            thread.join(max(0.0, deadline - time.monotonic()))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # No http.server: its server_bind asks the DNS for this machine's name, which can stall.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def let_kernel_time_out(connection: socket.socket, seconds: float) -> None:
    """Timeouts without Python's, which would poll before every single read and write."""
    connection.setblocking(True)
    value = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def _report(settings: ServerSettings, log: Callable[[str], None]) -> Report | None:
    """Where finished requests are told of; None costs nothing."""
    observer = settings.observer
    if settings.log is None or not settings.access_log:
        return observer

    def report(record: RequestRecord) -> None:
        log(record.line())
        if observer is not None:
            observer(record)

    return report


def _quiet(log: Callable[[str], None] | None) -> Callable[[str], None]:
    """A log that never raises: nobody reads it any more, or its disk is full."""

    def tell(line: str) -> None:
        if log is not None:
            with contextlib.suppress(Exception):
                log(line)

    return tell


def open_many_files() -> None:
    """Let this process have as many descriptors as it may: a connection that uploads needs two."""
    try:
        import resource
    except ImportError:  # not on every system
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS takes less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
