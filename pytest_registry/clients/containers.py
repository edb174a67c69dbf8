"""Containers that tests run from pushed images: testcontainers, told where it is.

This module imports testcontainers at its top and is itself imported only where that is needed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import urllib3
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from pytest_registry.clients import ssh
from pytest_registry.clients.docker_sdk import ENGINE_ERRORS, first_line
from pytest_registry.clients.engine_reach import HERE, Reach, own_container
from pytest_registry.clients.environment import engine_environment, engines_own_authority
from pytest_registry.errors import StartError

POLL = 0.02
ANSWER_TIMEOUT = 5.0
LAST_LINES = 5


_alone = threading.RLock()
"""Held while testcontainers' settings or the environment are not what they were: by one thread."""


class Serving:
    """Wait until a path answers 200, but no longer than its container runs.

    testcontainers' own asks once a second, goes on for two minutes after the container has ended,
    and then knows neither its exit status nor what it said.
    """

    def __init__(self, path: str, timeout: float) -> None:
        """Say what must answer, and within how many seconds."""
        self._path = path
        self._timeout = timeout

    def wait_until_ready(self, container: WebContainer) -> None:
        """Return when it answers; raises StartError."""
        deadline = time.monotonic() + self._timeout
        pool = urllib3.PoolManager(retries=False, timeout=ANSWER_TIMEOUT)
        with pool:
            while True:
                wrapped = container.get_wrapped_container()
                wrapped.reload()
                if wrapped.status not in ("created", "running"):
                    status = wrapped.attrs["State"]["ExitCode"]
                    raise _not_serving(wrapped, f"it ended with exit status {status}")
                problem = self._problem(pool, f"{container.url}{self._path}")
                if problem is None:
                    return
                if time.monotonic() >= deadline:
                    raise _not_serving(wrapped, f"{problem}, after {self._timeout:g} s")
                time.sleep(POLL)

    @staticmethod
    def _problem(pool: urllib3.PoolManager, url: str) -> str | None:
        try:
            status = pool.request("GET", url, redirect=True).status
        except urllib3.exceptions.HTTPError as error:
            return f"{url} does not answer ({type(error).__name__})"
        return None if status == HTTPStatus.OK else f"{url} answered {status}"


def _not_serving(container: Any, happened: str) -> StartError:
    said = container.logs(tail=LAST_LINES).decode("utf-8", "replace").strip().splitlines()
    told = "; its last lines: " + " | ".join(said) if said else "; it said nothing"
    return StartError(
        f"run a container of {container.attrs['Config']['Image']}",
        happened + told,
        "name the port that it serves on and a path that answers 200; give a slow one more seconds"
        " with `timeout`",
    )


def _not_started(image: str, error: BaseException) -> StartError:
    return StartError(
        f"run a container of {image}",
        f"the container engine says: {first_line(error)}",
        "give the image something to run: of a synthetic one that is `binary` or `entrypoint`",
    )


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
        timeout: float = 60.0,
    ) -> None:
        """Say what to run; `port` is the container's own, `path` what must answer 200 in time."""
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
        # testcontainers would take the network of our own container, which can be the host's.
        name = reach.network or ("bridge" if own_container() else "")
        network = {"network": name} if name else {}
        self.with_kwargs(labels=dict(labels), **network)
        self._serving = Serving(path, timeout)

    def start(self) -> WebContainer:
        """Start, and wait until it answers; raises StartError, and removes it where it does not."""
        try:
            with _settings(ryuk_disabled=True):
                super().start()
            self._serving.wait_until_ready(self)  # not in there: it takes time, and others wait
        except ENGINE_ERRORS as error:
            self.stop()
            raise _not_started(self.image, error) from error
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def url(self) -> str:
        """Where it is served, such as `http://127.0.0.1:32769`."""
        return "http://{}:{}".format(*self._met(self._port))

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
    with _alone:
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
    with _alone:
        before = {name: getattr(settings, name, None) for name in changes}
        try:
            for name, value in changes.items():
                setattr(settings, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(settings, name, value)
