"""A registry that is not ours, as the gateway asks it: requests go out, answers come back."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus

from pytest_registry.gate.asker import subject
from pytest_registry.gate.origin import Origin
from pytest_registry.gate.passing import Forwarded, Nothing, read_whole, send_body
from pytest_registry.gate.realms import Realms
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Content, Request, Response
from pytest_registry.server.authentication import Account
from pytest_registry.server.errors import error_response

_SAFE = frozenset({"GET", "HEAD"})
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade", "host", "content-length", "expect", "date"),
    }
)


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
    """Passes requests on, to the registry and to its token server. Used by many threads."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._registry = Origin(upstream.url, upstream.tls)
        self._realms = Realms(self._registry)

    def learn(self) -> None:
        """Ask the registry where its token server is, as a client's first request does.

        For clients who know it from before: they go there at once.
        """
        body = Nothing()
        first = Request("GET", "/v2/", "", headers={}, body=body, base_url=self._registry.url)
        self.answer(first).close()

    def recognise(self, request: Request) -> None:
        """Name the route of a request for a token: it is in no route table of ours."""
        if not request.route and self._realms.find(request.path) is not None:
            request.route = "token"

    def answer(self, request: Request) -> Response:
        """What the registry answers, or its token server; 502 where it does not."""
        origin = self._origin(request)
        try:
            reply = self._asked_again(origin, request)
            if reply is None:
                reply = self._asked(origin, origin.connect(), request)
        except (OSError, http.client.HTTPException) as error:
            return _bad_gateway(error)
        if reply.response.status == HTTPStatus.UNAUTHORIZED:
            request.account = None
        try:
            return self._response(reply, request)
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            # No other OSError, which is of our own disk.
            return _bad_gateway(error)

    def challenge(self, request: Request) -> Response:
        """The registry's 401 to the same request without a login."""
        headers = {name: each for name, each in request.headers.items() if name != "authorization"}
        response = self.answer(request.with_(headers, Nothing(), "GET"))
        response.close()
        return response

    def close(self) -> None:
        """Close the connections that are kept."""
        self._realms.close()

    def _origin(self, request: Request) -> Origin:
        token_server = self._realms.find(request.path) if request.route == "token" else None
        return token_server or self._registry

    def _asked_again(self, origin: Origin, request: Request) -> Reply | None:
        """The answer on a connection that was kept; None if there is none that still lives.

        A host may close it while the request is under way. Then nothing was done about it, and what
        has no body can be asked once more (RFC 9112, section 9.3.1).
        """
        connection = origin.kept()
        if connection is None:
            return None
        try:
            return self._asked(origin, connection, request)
        except (ConnectionError, http.client.RemoteDisconnected):
            if request.body.length != 0 or request.method not in _SAFE:
                raise
            return None

    def _asked(
        self, origin: Origin, connection: http.client.HTTPConnection, request: Request
    ) -> Reply:
        """Ask, and wait for the answer to begin; raises OSError, HTTPException."""
        try:
            self._send(connection, request)
            return Reply(origin, connection, connection.getresponse())
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

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
            send_body(connection, request)

    def _login(self, value: str) -> str:
        """The login for the registry: a worker's is the run's."""
        run = self._upstream.credentials
        given = Credentials.from_basic(value) if self._upstream.workers else None
        if given is None or not given.username.startswith(f"{run.username}-gw"):
            return value
        return run.basic if given.password == run.password else value

    def _response(self, reply: Reply, request: Request) -> Response:
        response = reply.response
        headers = self._headers(request, response)
        told = response.headers.get("Content-Length")
        if told is not None:
            headers["Content-Length"] = told
        if request.method == "HEAD" or told is None:
            return Response(response.status, headers, reply.whole())
        body = Forwarded(response, int(told), reply.plain_socket, reply.done)
        return Response(response.status, headers, body)

    def _headers(self, request: Request, response: http.client.HTTPResponse) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            if name.lower() in _HOP_BY_HOP:
                continue
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        location = headers.get("Location", "")
        if location.startswith(f"{self._registry.url}/"):
            headers["Location"] = request.base_url + location.removeprefix(self._registry.url)
        for name, value in headers.items():
            if name.lower() == "www-authenticate":
                headers[name] = self._realms.rewritten(value, request.base_url)
        return headers


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that has begun, and the connection that it comes on."""

    origin: Origin
    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse

    @property
    def plain_socket(self) -> socket.socket | None:
        """What the body can be taken from as it is; None if it is encrypted or ends by closing."""
        found: socket.socket | None = self.connection.sock
        return found if self.origin.tls is None else None

    def whole(self) -> bytes | Content:
        """All of the body, after which the connection is kept; see `read_whole`."""
        try:
            body = read_whole(self.response)
        except BaseException:
            self.done(False)
            raise
        self.response.close()
        self.done(True)
        return body

    def done(self, whole: bool) -> None:
        """Keep the connection if the answer was read to its end."""
        if whole:
            self.origin.give(self.connection)
        else:
            self.connection.close()


class Named:
    """Takes everybody's word for who they are: the registry behind the gateway checks it."""

    def authenticate(self, request: Request) -> Account | None:
        """The account that a request names, by Basic or by a token of a token server."""
        value = request.header("authorization") or ""
        login = Credentials.from_basic(value)
        if login is not None:
            return Account(login.username)
        scheme, _, token = value.partition(" ")
        return Account(subject(token)) if scheme.lower() == "bearer" else None


def _bad_gateway(error: Exception) -> Response:
    why = str(error) or type(error).__name__
    message = f"the registry behind the gateway does not answer: {why}"
    return error_response(502, "UNKNOWN", message, ())


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/:@!$&'()*+,;=~-._")
