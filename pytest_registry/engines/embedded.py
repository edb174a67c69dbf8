"""Our own OCI server, in this process: no container engine, no image, no network."""

from __future__ import annotations

import shutil
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from pytest_registry.engines.endpoint import Birth, Endpoint


class EmbeddedEngine:
    """The embedded server on a port of the kernel's choice, bound to 127.0.0.1."""

    uses_container_engine = False
    has_gate = True

    def __init__(self, reason: str, *, in_memory: bool) -> None:
        self._reason = reason
        self._in_memory = in_memory
        self._opened = ExitStack()
        self._stopped = threading.Event()

    def start(self, birth: Birth) -> Endpoint:
        """Serve; the registry answers when this returns."""
        from pytest_registry.clients.engine_reach import meets_own_ports
        from pytest_registry.gate.guard import Guard
        from pytest_registry.server.server import RegistryServer, open_many_files

        open_many_files()
        storage = None if self._in_memory else birth.storage
        security = birth.security
        with ExitStack() as opened:
            opened.callback(_remove, birth.storage)
            log = opened.enter_context(birth.log.open("a", buffering=1, encoding="utf-8"))
            settings = security.embedded_settings(lambda line: print(line, file=log))
            settings = settings._replace(storage=storage)
            guard = Guard(settings, birth.credentials, birth.requests, birth.throttle)
            opened.callback(guard.close)
            server = RegistryServer(guard.settings)
            opened.callback(server.close)
            server.start()
            self._opened = opened.pop_all()
        return Endpoint(
            engine="embedded",
            detail=f"embedded, storage {'in memory' if self._in_memory else 'on disk'}",
            reason=self._reason,
            host=server.host,
            daemon_host=server.host if meets_own_ports() else "",
            credentials=birth.credentials,
            accounts=None if security.auth == "none" else str(security.accounts),
            request_log=str(birth.requests),
            gate_key=guard.gate.key,
            **security.reached(),
        )

    def wait(self) -> str:
        """Block until the server is stopped: it ends with this process only."""
        self._stopped.wait()
        return "the embedded registry was stopped"

    def stop(self) -> None:
        """Stop serving and remove what was stored."""
        self._opened.close()
        self._stopped.set()


def _remove(storage: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(storage)
