"""A registry image on a Docker or Podman engine, bound to this process by a lease.

The lease is the container's standard input: it is attached once, and the container's first process
ends when it closes. The kernel closes it when this process dies, however that happens, so the
container goes too (tried: 0.25 s later) without a privileged reaper container.
"""

from __future__ import annotations

import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_registry.engines.endpoint import Birth, Endpoint
from pytest_registry.engines.readiness import start_failed, wait_until_ready
from pytest_registry.engines.registry_config import RegistryConfig
from pytest_registry.errors import EngineUnavailable, RegistryError, StartError, Unsupported

if TYPE_CHECKING:
    import docker

    from pytest_registry.clients.engine_reach import Reach
    from pytest_registry.server import RegistryServer

PORT = "5000/tcp"

LAST_WORDS = 2.0
"""Seconds in which the output of a container that has ended is there."""

LEASE = """
exec 3<&0
"$@" &
registry=$!
trap 'kill $registry' TERM INT
(cat <&3 >/dev/null; kill $registry) &
wait $registry
"""
"""Runs the image's own command until it ends or standard input closes. A shell gives background
commands /dev/null as input, hence the copy in descriptor 3; as process 1 it ignores SIGTERM unless
it is trapped."""

ENVIRONMENT = {
    "REGISTRY_HTTP_ADDR": ":5000",
    "REGISTRY_STORAGE_DELETE_ENABLED": "true",
    # Image 3 otherwise fills its log with failures to reach a collector of traces.
    "OTEL_TRACES_EXPORTER": "none",
}


class ContainerEngine:
    """One registry container; `image` must be in the engine already."""

    uses_container_engine = True
    has_gate = False

    def __init__(self, client: docker.DockerClient, image: str, detail: str, reason: str) -> None:
        self._client = client
        self._image = image
        self._detail = detail
        self._reason = reason
        self._reach: Reach
        self._container: str | None = None
        self._volumes: list[str] = []
        self._output: threading.Thread | None = None
        self._token_server: RegistryServer | None = None

    def start(self, birth: Birth) -> Endpoint:
        """Start the container and wait until it answers; raises StartError, EngineUnavailable.

        Unsupported where nobody could trust its certificate.
        """
        began = time.monotonic()
        host, daemon_host = self._begin(birth)
        endpoint = self._endpoint(birth, host, daemon_host)
        try:
            if not host:
                raise self._ended_at_once(endpoint, birth.log)
            wait_until_ready(endpoint, began + birth.start_timeout, birth.log, self._has_ended)
        except RegistryError:
            self.stop()
            raise
        return endpoint

    def wait(self) -> str:
        """Block until the container's output ends, and say how it ended."""
        container = self._container
        if self._output is not None:
            self._output.join()
        return f"the registry container {self._how_it_ended(container)}"

    def stop(self) -> None:
        """Remove the container and its volumes, at once, if the container engine answers.

        The volumes by name too: `docker rm -f` by somebody else leaves them.

        Otherwise the lease has ended it or will, and the run's clean-up knows its label.
        """
        from pytest_registry.clients.docker_sdk import (
            ENGINE_ERRORS,
            gone_is_fine,
            remove_container,
        )

        container, self._container = self._container, None
        if container is not None:
            with suppress(*ENGINE_ERRORS):
                remove_container(self._client, container)
                for volume in self._volumes:
                    with gone_is_fine():
                        self._client.api.remove_volume(volume)
        server, self._token_server = self._token_server, None
        if server is not None:
            server.close()

    def _begin(self, birth: Birth) -> tuple[str, str]:
        """Start the container; its two addresses. Raises EngineUnavailable, Unsupported."""
        from pytest_registry.clients.docker_sdk import ENGINE_ERRORS
        from pytest_registry.clients.engine_reach import reach_of

        try:
            self._reach = reach_of(self._client)
            self._check_certificate(birth)
            return self._run(birth)
        except ENGINE_ERRORS as error:
            self.stop()
            raise EngineUnavailable(
                f"start a registry container of {self._image}",
                str(error),
                f"see whether the image runs by itself: docker run --rm {self._image}",
                section="engine-refuses",
            ) from error

    def _endpoint(self, birth: Birth, host: str, daemon_host: str) -> Endpoint:
        from pytest_registry.clients.engine_reach import meets_own_ports

        bearer = birth.security.auth == "bearer"
        if bearer and not meets_own_ports():
            daemon_host = ""  # the engine's daemon cannot fetch tokens from this process
        return Endpoint(
            engine="container",
            detail=", ".join(filter(None, (self._detail, self._reach.in_words))),
            reason=self._reason,
            host=host,
            daemon_host=daemon_host,
            credentials=birth.credentials,
            container_id=self._container,
            # htpasswd knows no rights, and the file in the container is the image's.
            accounts=str(birth.security.accounts) if bearer else None,
            **birth.security.reached(),
        )

    def _check_certificate(self, birth: Birth) -> None:
        if self._reach.network and birth.security.tls != "off":
            raise Unsupported(
                "speak TLS with a registry in a container beside this one",
                "its address is known only when it runs, so that no certificate can name it",
                "leave --registry-tls out, or run the tests' container in the engine's host network"
                " (docker run --network=host)",
                section="address-unknown",
            )

    def _run(self, birth: Birth) -> tuple[str, str]:
        """Start a container, with a lease where the image has a shell; its two addresses."""
        from docker.errors import APIError

        try:
            return self._launch(birth, with_lease=True)
        except APIError as error:
            if "/bin/sh" not in str(error):
                raise
            self.stop()
        return self._launch(birth, with_lease=False)

    def _launch(self, birth: Birth, *, with_lease: bool) -> tuple[str, str]:
        api = self._client.api
        realm = self._start_token_server(birth) if birth.security.auth == "bearer" else ""
        settings = RegistryConfig.of(birth.security, birth.credentials, realm)
        environment = {**ENVIRONMENT, **settings.environment}
        config = api.inspect_image(self._image)["Config"]
        command = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
        self._create(
            command=command if with_lease else command[1:],
            entrypoint=["/bin/sh", "-c", LEASE, "lease"] if with_lease else command[:1],
            environment={**environment, "REGISTRY_HTTP_SECRET": secrets.token_hex(16)},
            labels=dict(birth.labels),
            ports=[5000],
            stdin_open=with_lease,
            host_config=api.create_host_config(
                port_bindings={PORT: (self._reach.publish, None)},
                auto_remove=True,
                network_mode=self._reach.network or None,
            ),
        )
        if settings.files:
            # Between create and start: the image's entry point would make a password of its own.
            api.put_archive(self._container, "/", settings.archive())
        self._attach(birth.log, with_lease=with_lease)
        api.start(self._container)
        return self._published()

    def _create(self, **options: Any) -> None:
        """Make the container; if the start is given up meanwhile it is removed again."""
        try:
            with _undisturbed():
                self._container = self._client.api.create_container(self._image, **options)["Id"]
        except BaseException:
            self.stop()
            raise

    def _start_token_server(self, birth: Birth) -> str:
        """Serve tokens in this process, to clients and the engine's daemon; their address."""
        from pytest_registry.server import RegistryServer
        from pytest_registry.server.bearer import TOKEN_PATH

        def log(line: str) -> None:
            with birth.log.open("a", encoding="utf-8") as file:
                print(f"token server: {line}", file=file)

        if self._token_server is None:
            self._token_server = RegistryServer(birth.security.token_server_settings(log))
            self._token_server.start()
        return f"{self._token_server.url}{TOKEN_PATH}"

    def _published(self) -> tuple[str, str]:
        """Where we and the engine's daemon reach the registry; empty if the container has ended."""
        from docker.errors import NotFound

        from pytest_registry.clients.engine_reach import published

        try:
            inspected = self._client.api.inspect_container(self._container)
        except NotFound:  # and was removed, because of AutoRemove
            return "", ""
        mounts = inspected.get("Mounts") or ()
        self._volumes = [each["Name"] for each in mounts if each.get("Type") == "volume"]
        return self._reach.meet(inspected, 5000), published(inspected, 5000)

    def _attach(self, log: Path, *, with_lease: bool) -> None:
        """Attach to the output, and to the input that is the lease; copy the output to `log`."""
        streams = {"stdout": 1, "stderr": 1, "stream": 1, "stdin": int(with_lease)}
        socket = self._client.api.attach_socket(self._container, params=streams)
        # docker-py's timeout for answers would otherwise end a quiet registry's log.
        getattr(socket, "_sock", socket).settimeout(None)
        self._output = threading.Thread(target=_copy_output, args=(socket, log), daemon=True)
        self._output.start()

    def _ended_at_once(self, endpoint: Endpoint, log: Path) -> StartError:
        if self._output is not None:
            self._output.join(LAST_WORDS)
        return start_failed(endpoint, "its container ended at once", log)

    def _has_ended(self) -> bool:
        return self._output is not None and not self._output.is_alive()

    def _how_it_ended(self, container: str | None) -> str:
        from pytest_registry.clients.docker_sdk import ENGINE_ERRORS

        try:
            state = self._client.api.inspect_container(container)["State"]
        except ENGINE_ERRORS as error:
            if getattr(error, "status_code", None) == HTTPStatus.NOT_FOUND:
                return "was removed"
            return f"is out of reach: the container engine does not answer ({error})"
        return f"ended with status {state.get('ExitCode')}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let the signal by which the keeper gives up a start wait.

    The engine would go on making what it was asked for, and nobody would know when it is there to
    be removed.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _copy_output(socket: Any, log: Path) -> None:
    """Append what the container writes to `log`, until its output ends.

    What a full disk does not take is lost; to end for it would let go of the lease.
    """
    from docker.utils.socket import frames_iter

    with socket, log.open("ab", buffering=0) as file, suppress(OSError):
        for _, chunk in frames_iter(socket, tty=False):
            with suppress(OSError):
                file.write(chunk)
