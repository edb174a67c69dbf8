"""Our gateway before another engine's registry: faults, throttling, the log work there too."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pytest_registry.engines.endpoint import Birth, Endpoint, Engine

if TYPE_CHECKING:
    from pytest_registry.gate.guard import Guard
    from pytest_registry.server import RegistryServer


class GatewayEngine:
    """Another engine, reached through a server of ours in this process, on 127.0.0.1."""

    has_gate = True

    def __init__(self, inner: Engine) -> None:
        self.uses_container_engine = inner.uses_container_engine
        self._inner = inner
        self._server: RegistryServer | None = None
        self._guard: Guard | None = None

    def start(self, birth: Birth) -> Endpoint:
        """Start the other engine, then the gateway; raises what that raises."""
        behind = self._inner.start(birth)
        try:
            return self._stand_before(behind, birth)
        except BaseException:
            self.stop()
            raise

    def wait(self) -> str:
        """Block until the registry behind the gateway ends: the gateway ends with this process."""
        return self._inner.wait()

    def stop(self) -> None:
        """Stop the gateway, then the registry."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._inner.stop()

    def _stand_before(self, behind: Endpoint, birth: Birth) -> Endpoint:
        from pytest_registry.gate.forward import Forward, Named, Upstream
        from pytest_registry.gate.guard import Guard
        from pytest_registry.server import RegistryServer

        upstream = Upstream(
            behind.host,
            behind.tls_context(),
            behind.credentials,
            workers=_takes_workers(behind),
        )
        forward = Forward(upstream)
        forward.learn()
        settings = birth.security.transport(_say_nothing)._replace(authenticator=Named())
        self._guard = Guard(
            settings,
            behind.credentials,
            birth.requests,
            birth.throttle,
            forward,
            login=behind.auth != "none" and bool(behind.credentials.username),
        )
        self._server = RegistryServer(self._guard.settings)
        self._server.start()
        host = self._server.host
        return dataclasses.replace(
            behind,
            detail=f"{behind.detail}, behind our gateway",
            host=host,
            daemon_host=host if behind.daemon_host == behind.host else "",
            request_log=str(birth.requests),
            gate_key=self._guard.gate.key,
            behind=behind.url,
            worker_names=_takes_workers(behind),
            **birth.security.transported(),
        )


def _say_nothing(line: str) -> None:
    """The registry behind the gateway has a log, and the gateway's gate another one."""


def _takes_workers(behind: Endpoint) -> bool:
    """Whether the gateway itself makes the run's account of the workers' names."""
    return behind.engine == "container" and behind.auth == "basic"
