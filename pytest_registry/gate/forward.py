"""A registry that is not ours, as the gateway asks it: requests go out, answers come back."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import select
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pytest_registry.gate.answers import refusal
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Request, Response
from pytest_registry.server.authentication import Account

BLOCK = 1024 * 1024
"""Bytes that are passed on at once."""

UPSTREAM_TIMEOUT = 120.0
"""Seconds that the registry may be silent for."""

_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade", "host", "content-length", "expect", "date"),
    }
)
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the registry is: HOST:PORT, and TLS if it speaks it.

    `credentials` are the run's. A worker's own name with their password is passed on as them, where
    `workers` says so, for a registry that does not know the workers.
    """

    host: str
    tls: ssl.SSLContext | None
    credentials: Credentials
    workers: bool

    @property
    def url(self) -> str:
        """Its root."""
        return f"{'http' if self.tls is None else 'https'}://{self.host}"


class Forward:
    """Passes requests on, over connections that it keeps. Used by many threads."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._url = upstream.url
        self._tls = upstream.tls
        self._idle: list[http.client.HTTPConnection] = []

    def answer(self, request: Request) -> Response:
        """What the registry answers; 502 where it does not."""
        connection = self._take()
        try:
            self._send(connection, request)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            why = str(error) or type(error).__name__
            return refusal(502, "spec", detail=f"the registry behind the gateway: {why}")
        if response.status == _UNAUTHORIZED:
            request.account = None
        return self._response(connection, request, response)

    def challenge(self, request: Request) -> Response:
        """The registry's 401 to the same request without a login."""
        headers = {name: each for name, each in request.headers.items() if name != "authorization"}
        bare = replace(request, method="GET", headers=headers, body=_Nothing())
        response = self.answer(bare)
        response.close()
        return response

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> http.client.HTTPConnection:
        """A connection that was kept, a new one if the registry has closed them all."""
        while self._idle:
            found = self._idle.pop()
            if found.sock is not None and not select.select([found.sock], [], [], 0)[0]:
                return found
            found.close()  # something to read where nothing is owed: it is the end
        return self._connect()

    def _give(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose answer was read to its end."""
        if connection.sock is not None:
            self._idle.append(connection)

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout = self._upstream.host, UPSTREAM_TIMEOUT
        if self._tls is None:
            return http.client.HTTPConnection(host, timeout=timeout, blocksize=BLOCK)
        return http.client.HTTPSConnection(
            host, timeout=timeout, blocksize=BLOCK, context=self._tls
        )

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> None:
        query = f"?{request.query}" if request.query else ""
        connection.putrequest(
            request.method, _quoted(request.path) + query, skip_accept_encoding=True
        )
        for name, value in request.headers.items():
            if name == "authorization":
                connection.putheader(name, self._login(value))
            elif name not in _HOP_BY_HOP:
                connection.putheader(name, value)
        length = request.body.length
        if length is None:
            connection.putheader("Transfer-Encoding", "chunked")
        elif length or request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(length))
        connection.endheaders()
        if length != 0:
            _send_body(connection, request)

    def _login(self, value: str) -> str:
        """The login for the registry: a worker's is the run's."""
        run = self._upstream.credentials
        given = _basic(value) if self._upstream.workers else None
        if given is None or not given.username.startswith(f"{run.username}-gw"):
            return value
        return run.basic if given.password == run.password else value

    def _response(
        self,
        connection: http.client.HTTPConnection,
        request: Request,
        response: http.client.HTTPResponse,
    ) -> Response:
        headers = self._headers(request, response)
        told = response.headers.get("Content-Length")
        if request.method == "HEAD" or told is None:
            content = b"" if request.method == "HEAD" else response.read()
            if told is not None:
                headers["Content-Length"] = told
            response.close()
            self._give(connection)
            return Response(response.status, headers, content)
        headers["Content-Length"] = told
        body = Forwarded(response, int(told), lambda whole: self._done(connection, whole))
        return Response(response.status, headers, body)

    def _done(self, connection: http.client.HTTPConnection, whole: bool) -> None:
        if whole:
            self._give(connection)
        else:
            connection.close()

    def _headers(self, request: Request, response: http.client.HTTPResponse) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            if name.lower() in _HOP_BY_HOP:
                continue
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        location = headers.get("Location", "")
        if location.startswith(f"{self._url}/"):
            headers["Location"] = request.base_url + location.removeprefix(self._url)
        return headers


class Forwarded:
    """An answer's body on its way through."""

    def __init__(
        self, response: http.client.HTTPResponse, length: int, done: Callable[[bool], None]
    ) -> None:
        self._response = response
        self._done = done
        self._left = length
        self.length = length

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The blocks as they come; raises ConnectionError where the registry breaks off."""
        view = memoryview(bytearray(min(BLOCK, max(1, self._left))))
        while self._left:
            count = self._response.readinto(view)
            if not count:
                raise ConnectionAbortedError("the registry behind the gateway broke off")
            self._left -= count
            yield view[:count]

    def close(self) -> None:
        """Tell whether the body was read to its end."""
        self._response.close()
        self._done(not self._left)


class Named:
    """Takes everybody's word for who they are: the registry behind the gateway checks it."""

    def authenticate(self, request: Request) -> Account | None:
        """The account that a request names, by Basic or by a token of a token server."""
        value = request.header("authorization") or ""
        basic = _basic(value)
        name = basic.username if basic is not None else _subject(value)
        return Account(name) if name is not None else None


def _basic(value: str) -> Credentials | None:
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, _, password = decoded.partition(":")
    return Credentials(name, password)


def _subject(value: str) -> str | None:
    """Whom a bearer token is for; empty where it does not tell, None if it is none."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        return None
    parts = token.strip().split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return str(claims.get("sub", ""))
    except (IndexError, ValueError, AttributeError):
        return ""


def _send_body(connection: http.client.HTTPConnection, request: Request) -> None:
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


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/:@!$&'()*+,;=~-._")


class _Nothing:
    """The body of a request that has none."""

    received = 0
    length = 0
    unread = 0

    def read_into(self, view: memoryview) -> int:  # noqa: ARG002 - the protocol's signature
        """Read nothing."""
        return 0
