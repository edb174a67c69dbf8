"""One client's connection: requests in, responses out (RFC 9112). The only place that writes."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from pytest_registry.server.application import Application
from pytest_registry.server.body import Body, ChunkedBody, SizedBody, skip
from pytest_registry.server.clock import Clock
from pytest_registry.server.errors import ApiError, trace_of
from pytest_registry.server.head import HEAD_LIMIT, Head, bad_request, parse_head
from pytest_registry.server.records import RequestRecord
from pytest_registry.server.request import Request, unquote
from pytest_registry.server.response import NO_ANSWER, Content, End, Response, SendTo
from pytest_registry.server.stream import ByteStream, LineTooLong, NotHttp

if TYPE_CHECKING:
    from pytest_registry.server.tls_socket import TlsSocket

Report = Callable[[RequestRecord], None]

_DRAIN = 1024 * 1024
"""Bytes of an unread body that are read and forgotten to keep a connection; above it is closed."""
_LINGER_SECONDS = 2.0
_LINGER_TOTAL_SECONDS = 30.0
_LINGER_BLOCK = 256 * 1024
_NO_BODY = frozenset({204, 304})
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}


class Connection:
    """Serves one accepted socket until either side has had enough."""

    def __init__(
        self,
        *,
        transport: socket.socket | TlsSocket,
        client: str,
        own_url: str,
        application: Application,
        clock: Clock,
        timeout: float,
        report: Report | None,
        log: Callable[[str], None],  # raises nothing
    ) -> None:
        self._transport = transport
        self._client = client
        self._own_url = own_url
        self._application = application
        self._report = report
        self._log = log
        self._stream = ByteStream(transport, timeout)
        self._clock = clock
        self._awaits_continue = False
        self._sent = 0
        self._untold: tuple[Request, int, float] | None = None

    def serve(self) -> None:
        """Answer requests until the client is done, breaks off or has to be cut off."""
        try:
            while self._serve_one():
                pass
            self._linger()
        except OSError:
            # Nobody is left to answer: the client is gone, silent, or broke the TLS. What fails on
            # our side, a disk or an observer, has been logged where it did.
            return

    def _serve_one(self) -> bool:
        """Answer one request; whether another may follow."""
        try:
            raw = self._stream.head(HEAD_LIMIT)
            if raw is None:
                return False
            started = time.perf_counter()
            head = parse_head(raw)
            request = self._request(head)
        except LineTooLong:
            return self._refuse(bad_request("its head is too long", status=431))
        except NotHttp:
            return self._refuse(bad_request("this is no HTTP (does the client speak TLS?)"))
        except ApiError as error:
            return self._refuse(error)
        response = self._application.answer(request)
        self._untold = (request, response.status, started)
        try:
            may_keep = head.keep_alive and response.end is End.KEEP
            keep = may_keep and self._can_drain(request.body)
            self._write(response, head.method == "HEAD", keep, head.version)
            if response.end is End.RESET:
                self._reset()
            return keep and _drain(request.body)
        finally:
            response.close()
            self._tell()

    def _request(self, head: Head) -> Request:
        """The request as handlers see it. Nothing of its body has been read."""
        path, _, query = head.origin.partition("?")
        self._awaits_continue = head.expects_continue
        body: Body
        if head.chunked:
            body = ChunkedBody(self._stream, self._continue)
        else:
            body = SizedBody(self._stream, head.content_length, self._continue)
        host = head.host
        url = f"{self._own_url.partition('://')[0]}://{host}" if host else self._own_url
        return Request(
            head.method,
            unquote(path),
            query,
            headers=head.headers,
            body=body,
            base_url=url,
            client=self._client,
        )

    def _continue(self) -> None:
        """Say that the body is wanted, when it is first read (RFC 9110, section 10.1.1)."""
        if self._awaits_continue:
            self._awaits_continue = False
            self._transport.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _can_drain(self, body: Body) -> bool:
        """Whether what is unread of the body is little enough to keep the connection."""
        if self._awaits_continue:
            return body.length == 0  # the client may send the body all the same, or never
        return body.unread is not None and body.unread <= _DRAIN

    def _refuse(self, error: ApiError) -> bool:
        """Answer what is no proper request. Where it ends is unclear, so nothing can follow."""
        self._write(error.response(), False, False, "HTTP/1.1")
        return False

    def _write(self, response: Response, head_only: bool, keep: bool, version: str) -> None:
        """Send a response. A small body goes out with its head: one packet, one system call."""
        self._sent = 0
        status, body = response.status, response.body
        if status == NO_ANSWER:
            return
        head = self._head(response, keep, version)
        if head_only or status in _NO_BODY:
            self._tell()
            self._transport.sendall(head)
        elif isinstance(body, bytes):
            self._sent = len(body)
            self._tell()
            self._transport.sendall(head + body)
        else:
            self._stream_out(head, body)

    def _stream_out(self, head: bytes, body: Content) -> None:
        length = body.length
        if length == 0:
            self._tell()
        self._transport.sendall(head)
        for count in self._parts(body):
            self._sent += count
            if self._sent >= length:
                self._tell()

    def _parts(self, body: Content) -> Iterator[int]:
        """Send a body part by part, each one's size being told before it goes."""
        send_to: SendTo | None = getattr(body, "send_to", None)
        if send_to is not None and isinstance(self._transport, socket.socket):
            yield from send_to(self._transport)
            return
        for block in self._blocks(body):
            yield len(block)
            self._transport.sendall(block)

    def _blocks(self, body: Content) -> Iterator[bytes | memoryview]:
        """A body's blocks; what cannot be read is our own failure, and cuts the answer off."""
        try:
            yield from body.blocks()
        except OSError as error:
            self._log(trace_of(error))
            raise ConnectionAbortedError from error

    def _head(self, response: Response, keep: bool, version: str) -> bytes:
        headers = response.headers
        lines = [_status_line(response.status), self._clock.header]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        if "Content-Length" not in headers and response.status not in _NO_BODY:
            lines.append(f"Content-Length: {response.length}\r\n")
        if not keep:
            lines.append("Connection: close\r\n")
        elif version == "HTTP/1.0":
            lines.append("Connection: keep-alive\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1", "replace")

    def _reset(self) -> None:
        """Have the socket reset when it is closed, which is at once."""
        self._transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError

    def _linger(self) -> None:
        """Close only after the client has read the answer.

        A socket that is closed with unread bytes resets the connection, and the reset can overtake
        the answer: a client that still sends a refused body would never learn why.
        """
        self._transport.shutdown(socket.SHUT_WR)
        self._transport.settimeout(_LINGER_SECONDS)
        end = time.monotonic() + _LINGER_TOTAL_SECONDS
        while time.monotonic() < end and self._transport.recv(_LINGER_BLOCK):
            pass

    def _tell(self) -> None:
        """Report the request, once: before the last byte leaves, or when the answer broke off.

        Whoever has the whole answer can therefore rely on it that the record is there, unless it
        could not be kept: the client has its answer all the same.
        """
        untold, self._untold = self._untold, None
        if self._report is None or untold is None:
            return
        try:
            self._report(self._record(*untold))
        except Exception as error:
            self._log(trace_of(error))

    def _record(self, request: Request, status: int, started: float) -> RequestRecord:
        seconds = time.perf_counter() - started
        return RequestRecord(
            method=request.method,
            route=request.route,
            path=request.path,
            repository=request.repository,
            reference=request.reference,
            status=status,
            bytes_in=request.body.received,
            bytes_out=self._sent,
            started=time.time() - seconds,
            seconds=seconds,
            user_agent=request.header("user-agent") or "",
            account=None if request.account is None else request.account.name,
            client=request.client,
        )


def _status_line(status: int) -> str:
    """The first line; without a phrase, which may be left out, for a status that has no name."""
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"


def _drain(body: Body) -> bool:
    """Read what is left of a body; whether that succeeded."""
    try:
        if body.unread:
            skip(body)
    except ApiError:
        return False
    return True
