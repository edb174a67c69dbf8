"""A server with a gate: its settings, and all that the gate needs around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_registry.gate.effects import Means
from pytest_registry.gate.fault import Scope
from pytest_registry.gate.gate import Gate
from pytest_registry.gate.in_force import ThrottleInForce
from pytest_registry.gate.object_store import ObjectStore
from pytest_registry.gate.throttle import Throttle
from pytest_registry.report.traffic import RequestLog
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Challenge, Request, Response, ServerSettings
from pytest_registry.server.authentication import OpenToAll


class Guard:
    """Puts a gate before the server of `settings`; serve `guard.settings` instead.

    `credentials` are the run's, `log` the file of its requests. `throttle`, if given, holds for
    everybody as long as the server lives.
    """

    def __init__(
        self,
        settings: ServerSettings,
        credentials: Credentials,
        log: Path,
        throttle: Throttle | None = None,
    ) -> None:
        self._accounts = settings.accounts()
        self._log = RequestLog(log)
        self._store = ObjectStore(settings)
        login = not isinstance(self._accounts, OpenToAll)
        self.gate = Gate(credentials, self._log, login=login)
        self.gate.use(Means(self._challenge, self._store.hand_out))
        if throttle is not None:
            from pytest_registry.gate.buckets import Throttler

            self.gate.put("run", ThrottleInForce(Throttler(throttle), Scope()))
        self.settings = replace(
            settings, interceptor=self.gate.intercept, observer=self.gate.observe
        )

    def close(self) -> None:
        """Close what was opened; call it after the server was closed."""
        self._store.close()
        self._log.close()

    def _challenge(self, request: Request) -> Response:
        headers = {name: each for name, each in request.headers.items() if name != "authorization"}
        outcome = self._accounts.authenticate(replace(request, headers=headers))
        if not isinstance(outcome, Challenge):
            return Response(401)
        return Response(401, {"WWW-Authenticate": outcome.header} if outcome.header else {})
