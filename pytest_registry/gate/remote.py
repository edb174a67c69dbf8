"""How a test's process speaks to the gate: the client of `control`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pytest_registry.errors import RegistryEnded, StateError
from pytest_registry.gate.fault import Fault, Scope
from pytest_registry.gate.throttle import Throttle

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection

ROOT = "/_pytest_registry"
ANSWER_TIMEOUT = 10.0
"""Seconds."""

Connect = Callable[[], "ssl.SSLContext | None"]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a gate is: HOST:PORT, its key, and TLS if it speaks it."""

    host: str
    key: str = field(repr=False)
    tls: Connect
    find_end: Callable[[str], RegistryEnded | None]


class ActiveFault:
    """A fault while it is in force. Its counts stay readable afterwards."""

    def __init__(self, fault: Fault, ask: Callable[[], dict[str, int]]) -> None:
        self.fault = fault
        self._ask: Callable[[], dict[str, int]] | None = ask
        self._last = {"matched": 0, "hits": 0}

    def __repr__(self) -> str:
        return (
            f"<fault {self.fault.describe()} on {self.fault.on or 'everything'}: {self.hits} hits>"
        )

    @property
    def matched(self) -> int:
        """How many requests were of its kind, whether or not it was their turn."""
        return self._counts()["matched"]

    @property
    def hits(self) -> int:
        """On how many requests it was carried out; not where another fault had ended them."""
        return self._counts()["hits"]

    def _counts(self) -> dict[str, int]:
        if self._ask is not None:
            self._last = self._ask()
        return self._last

    def _end(self, counts: dict[str, int]) -> None:
        self._ask, self._last = None, counts


class RemoteGate:
    """A registry's gate, in another process."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    @contextmanager
    def fault(self, fault: Fault, scope: Scope) -> Iterator[ActiveFault]:
        """Have a fault while the context lasts; raises RegistryEnded, StateError."""
        path = f"faults/{secrets.token_hex(8)}"
        with closing(self._put(path, fault, scope)):
            active = ActiveFault(fault, lambda: self._ask("GET", path))
            try:
                yield active
            finally:
                active._end(self._ask("DELETE", path))

    @contextmanager
    def throttle(self, throttle: Throttle, scope: Scope) -> Iterator[None]:
        """Throttle while the context lasts; raises RegistryEnded, StateError."""
        path = f"throttles/{secrets.token_hex(8)}"
        with closing(self._put(path, throttle, scope)):
            try:
                yield
            finally:
                self._ask("DELETE", path)

    def _put(self, path: str, rule: Fault | Throttle, scope: Scope) -> HTTPConnection:
        """Have a rule as long as the connection is open that is returned: see `control`."""
        content = json.dumps({"rule": rule.to_json(), "scope": scope.to_json()}).encode()
        connection = self._connection()
        try:
            self._answer(connection, "PUT", path, content)
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, method: str, path: str) -> Any:
        with closing(self._connection()) as connection:
            return json.loads(self._answer(connection, method, path))

    def _connection(self) -> HTTPConnection:
        import http.client

        host, tls = self._reach.host, self._reach.tls()
        if tls is None:
            return http.client.HTTPConnection(host, timeout=ANSWER_TIMEOUT)
        return http.client.HTTPSConnection(host, timeout=ANSWER_TIMEOUT, context=tls)

    def _answer(
        self, connection: HTTPConnection, method: str, path: str, content: bytes | None = None
    ) -> bytes:
        """Ask, and read the answer; the last byte of a body that `content` begins stays owed."""
        import http.client

        asked = f"tell the registry what shall go wrong ({method} {path.partition('/')[0]})"
        headers = {"Authorization": f"Bearer {self._reach.key}"}
        if content is not None:
            headers["Content-Length"] = str(len(content) + 1)
        try:
            connection.request(method, f"{ROOT}/{path}", content, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            if (end := self._reach.find_end(asked)) is not None:
                raise end from error
            raise StateError(
                asked, str(error) or type(error).__name__, section="not-told"
            ) from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise StateError(
                asked, f"it answered {response.status}: {text[:500]!r}", section="not-told"
            )
        return text
