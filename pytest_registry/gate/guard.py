"""A server with a gate: its settings, and all that the gate needs around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.gate.effects import Means
from pytest_registry.gate.fault import Scope
from pytest_registry.gate.gate import Gate
from pytest_registry.gate.in_force import ThrottleInForce
from pytest_registry.gate.log import RequestLog
from pytest_registry.gate.object_store import ObjectStore
from pytest_registry.gate.throttle import Throttle
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import (
    Challenge,
    Interceptor,
    Proceed,
    Request,
    Response,
    ServerSettings,
)
from pytest_registry.server.authentication import OpenToAll

if TYPE_CHECKING:
    from pytest_registry.gate.forward import Forward


class Guard:
    """Puts a gate before the server of `settings`; serve `guard.settings` instead.

    `credentials` are the run's, `log` the file of its requests. `throttle`, if given, holds for
    everybody as long as the server lives. With `forward`, requests are answered by a registry
    behind the gate rather than by the server's own; whether that one asks for a `login` is told.
    """

    def __init__(
        self,
        settings: ServerSettings,
        credentials: Credentials,
        log: Path,
        throttle: Throttle | None = None,
        forward: Forward | None = None,
        *,
        login: bool = True,
    ) -> None:
        self._accounts = settings.accounts()
        self._log = RequestLog(log, credentials.secrets)
        self._store = ObjectStore(settings)
        login = login and not isinstance(self._accounts, OpenToAll)
        challenge = self._challenge if forward is None else forward.challenge
        means = Means(challenge, self._store.hand_out, self._store.take_back)
        self.gate = Gate(credentials, self._log, means, login=login)
        if throttle is not None:
            from pytest_registry.gate.buckets import Throttler

            self.gate.put("run", ThrottleInForce(Throttler(throttle), Scope()))
        self._forward = forward
        interceptor: Interceptor = self.gate.intercept
        if forward is not None:
            interceptor = _passing(self.gate, forward)
        # The log of requests has all that an access log would say: one of the two is enough.
        self.settings = settings._replace(
            interceptor=interceptor, observer=self.gate.observe, access_log=False
        )

    def close(self) -> None:
        """Close what was opened; call it after the server was closed."""
        self._store.close()
        if self._forward is not None:
            self._forward.close()
        self._log.close()

    def _challenge(self, request: Request) -> Response:
        headers = {name: each for name, each in request.headers.items() if name != "authorization"}
        outcome = self._accounts.authenticate(request.with_(headers))
        if not isinstance(outcome, Challenge):
            return Response(401)
        return Response(401, {"WWW-Authenticate": outcome.header} if outcome.header else {})


def _passing(gate: Gate, forward: Forward) -> Interceptor:
    """Let another registry answer: the server's own store and route table answer nothing."""

    def pass_on(request: Request, _: Proceed) -> Response:
        forward.recognise(request)
        return gate.intercept(request, forward.answer)

    return pass_on
