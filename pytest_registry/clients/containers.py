"""Containers that tests run from pushed images: testcontainers, told where it is.

This module imports testcontainers at its top and is itself imported only where that is needed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

from pytest_registry.clients import ssh
from pytest_registry.clients.engine_reach import HERE, Reach
from pytest_registry.clients.environment import engine_environment, engines_own_authority


class WebContainer(DockerContainer):  # type: ignore[misc] # followed as Any, see pyproject.toml
    """A testcontainers container that serves HTTP on a random port of this machine.

    testcontainers guesses the machine's address and can be wrong (inside a virtual machine with
    /.dockerenv it names the bridge's gateway), so both ends are said by `reach`: where the port is
    published and where it is met, which `url` tells. Its reaper is not used: it would be one more
    image to pull, and the run's own keeper removes what bears the run's labels. Nor are the user's
    DOCKER_AUTH_CONFIG and image prefix: both are for other registries than the run's.
    """

    def __init__(
        self,
        image: str,
        *,
        port: int,
        labels: Mapping[str, str],
        reach: Reach = HERE,
        path: str = "/",
    ) -> None:
        """Say what to run; `port` is the container's own, `path` what must answer 200."""
        environment = engine_environment()
        with (
            _environment_kept(),
            engines_own_authority() as only,
            _settings(_docker_auth_config=None, hub_image_name_prefix=""),
        ):
            super().__init__(image, docker_client_kw=ssh.arguments(environment))
            self.get_docker_client().client.api.trust_env = not only
        ssh.lead(self.get_docker_client().client, environment)
        self._port = port
        self._reach = reach
        self.ports[f"{port}/tcp"] = (reach.publish, None)
        network = {"network": reach.network} if reach.network else {}
        self.with_kwargs(labels=dict(labels), **network)
        self.waiting_for(HttpWaitStrategy(port, path).for_status_code(200))

    def start(self) -> WebContainer:
        """Start, and wait until it answers; what was started is removed where it does not."""
        with _settings(ryuk_disabled=True):
            try:
                super().start()
            except BaseException:
                self.stop()
                raise
        return self

    @property
    def url(self) -> str:
        """Where it is served, such as `http://127.0.0.1:32769`."""
        return f"http://{self.get_container_host_ip()}:{self.get_exposed_port(self._port)}"

    def get_container_host_ip(self) -> str:
        """The address under which this process meets the container's port."""
        return self._met(self._port)[0]

    def _get_exposed_port(self, port: int) -> int:
        return int(self._met(port)[1])

    def _met(self, port: int) -> tuple[str, str]:
        api = self.get_docker_client().client.api
        met = self._reach.meet(api.inspect_container(self.get_container_id()), port)
        host, _, number = met.rpartition(":")
        return host or self._reach.host, number or str(port)


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo that testcontainers writes DOCKER_HOST into this process's environment."""
    before = os.environ.get("DOCKER_HOST")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("DOCKER_HOST", None)
        else:
            os.environ["DOCKER_HOST"] = before


@contextlib.contextmanager
def _settings(**changes: object) -> Iterator[None]:
    """Give testcontainers other settings than the user's, and leave it as it was found."""
    settings: Any = testcontainers_config
    before = {name: getattr(settings, name, None) for name in changes}
    for name, value in changes.items():
        setattr(settings, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)
