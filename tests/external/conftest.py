"""Registries that run before any test of a suite does: ours, with gaps on request, and Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.engines.external import PASSWORD, USERNAME
from pytest_registry.errors import ImageNotFound, TransferError
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import (
    ApiError,
    Code,
    RegistryServer,
    Request,
    Response,
    ServerSettings,
)
from pytest_registry.server.settings import Proceed
from tests.conftest import free_port

ACCOUNT = Credentials("someone", "a-password-that-no-message-holds")
OTHERS = ("team/app", "team/pytest-not-a-run/app")
"""What others keep in the registry: it must never be touched."""


@dataclass(frozen=True)
class Served:
    """A registry that serves, and the account that it asks for."""

    url: str
    account: Credentials | None

    def client(self) -> OciClient:
        return OciClient(self.url, self.account)

    def tagged(self) -> list[str]:
        """The repositories that hold a tag."""
        with self.client() as client:
            return [name for name in client.repositories() if _tags(client, name)]


def _tags(client: OciClient, repository: str) -> list[str]:
    try:
        return client.tags(repository)
    except ImageNotFound:  # docker-registry lists repositories that hold but blobs
        return []


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A function that serves an embedded registry; `without` are routes and methods it refuses."""
    with ExitStack() as ends:

        def start(*without: str) -> Served:
            def gaps(request: Request, proceed: Proceed) -> Response:
                words = {request.method, request.route, f"{request.method} {request.route}"}
                is_tag = request.method == "DELETE" and ":" not in request.reference
                if words & set(without) or ("DELETE tag" in without and is_tag):
                    raise ApiError(Code.UNSUPPORTED)
                return proceed(request)

            settings = ServerSettings(credentials=ACCOUNT, interceptor=gaps)
            server = ends.enter_context(RegistryServer(settings))
            return stocked(Served(server.url, ACCOUNT))

        yield start


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[Served]:
    """Debian's docker-registry, open to everybody, with deletion."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("there is no docker-registry command here (Debian's package of that name)")
    address = f"127.0.0.1:{free_port()}"
    config = tmp_path / "config.yml"
    config.write_text("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {}\nhttp: {}\n")
    environment = {
        **os.environ,
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "content"),
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
        "REGISTRY_HTTP_ADDR": address,
    }
    process = subprocess.Popen(
        [program, "serve", str(config)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        served = Served(f"http://{address}", None)
        answers(served)
        yield stocked(served)
    finally:
        process.terminate()
        process.wait()


def answers(served: Served) -> None:
    """Wait until the registry answers."""
    deadline = time.monotonic() + 20
    with served.client() as client:
        while True:
            try:
                return client.ping()
            except TransferError:
                assert time.monotonic() < deadline, "the registry does not answer"
                time.sleep(0.05)


def stocked(served: Served) -> Served:
    """Put there what others keep in it."""
    with served.client() as client:
        for name in OTHERS:
            client.push(synthetic_image(7), name, "latest")
    return served


Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Suite:
    """Run a suite against a registry, logged in by the environment; no container engine."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))
    monkeypatch.setenv("PYTEST_REGISTRY_STATE_DIR", str(tmp_path / "state"))

    def run(served: Served, body: str, *arguments: str, below: str = "") -> pytest.RunResult:
        if served.account is not None:
            monkeypatch.setenv(USERNAME, served.account.username)
            monkeypatch.setenv(PASSWORD, served.account.password)
        pytester.makepyfile(body)
        return pytester.runpytest_subprocess(
            f"--registry-url={served.url}{below}", "-p", "no:cacheprovider", *arguments
        )

    return run
