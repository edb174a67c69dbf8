"""Our own OCI server, in this process: no container engine, no image, no network."""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_registry.engines.endpoint import Birth, Endpoint

if TYPE_CHECKING:
    from pytest_registry.server import RegistryServer


class EmbeddedEngine:
    """The embedded server on a port of the kernel's choice, bound to 127.0.0.1."""

    uses_container_engine = False
    has_gate = True

    def __init__(self, reason: str, *, in_memory: bool) -> None:
        self._reason = reason
        self._in_memory = in_memory
        self._server: RegistryServer | None = None
        self._stopped = threading.Event()

    def start(self, birth: Birth) -> Endpoint:
        """Serve; the registry answers when this returns."""
        from pytest_registry.clients.engine_reach import meets_own_ports
        from pytest_registry.gate.guard import Guard
        from pytest_registry.server.server import RegistryServer, open_many_files

        open_many_files()
        storage = None if self._in_memory else birth.storage
        security = birth.security
        self._log = birth.log.open("a", buffering=1, encoding="utf-8")
        settings = security.embedded_settings(lambda line: print(line, file=self._log))
        settings = settings._replace(storage=storage)
        self._guard = Guard(settings, birth.credentials, birth.requests, birth.throttle)
        self._server = RegistryServer(self._guard.settings)
        self._server.start()
        self._storage = birth.storage
        return Endpoint(
            engine="embedded",
            detail=f"embedded, storage {'in memory' if self._in_memory else 'on disk'}",
            reason=self._reason,
            host=self._server.host,
            daemon_host=self._server.host if meets_own_ports() else "",
            credentials=birth.credentials,
            accounts=None if security.auth == "none" else str(security.accounts),
            request_log=str(birth.requests),
            gate_key=self._guard.gate.key,
            **security.reached(),
        )

    def wait(self) -> str:
        """Block until the server is stopped: it ends with this process only."""
        self._stopped.wait()
        return "the embedded registry was stopped"

    def stop(self) -> None:
        """Stop serving and remove what was stored."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._guard.close()
            self._log.close()
            with suppress(FileNotFoundError):
                shutil.rmtree(self._storage)
        self._stopped.set()
