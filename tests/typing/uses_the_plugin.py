"""A test suite as users write it, with types: mypy --strict and pyright must accept it.

`.ci/run user_types` checks it against the installed wheel. It is not run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_type

import pytest

from pytest_registry import (
    ActiveFault,
    Credentials,
    Descriptor,
    DockerCommand,
    Fault,
    Image,
    ImageNotFound,
    Limits,
    LoggedInClient,
    LoggedRequest,
    Manifest,
    OciClient,
    Operation,
    Output,
    Push,
    Registry,
    RegistryError,
    RegistrySession,
    Requests,
    SyntheticImage,
    Throttle,
    WebContainer,
    archived_image,
    synthetic_image,
)
from pytest_registry.errors import AuthenticationFailed, EngineUnavailable


def test_the_handle(registry: Registry) -> None:
    """What the registry tells and does."""
    assert_type(registry.url, str)
    assert_type(registry.host, str)
    assert_type(registry.credentials, Credentials)
    assert_type(registry.credentials.username, str)
    assert_type(registry.reference("samples/nginx", "1.0"), str)
    pushed = registry.push("nginx", "samples/nginx")
    assert_type(pushed, Image)
    assert_type(pushed.digest, str)
    assert_type(registry.pull(pushed, fresh=True), Image)
    assert_type(registry.exists("samples/nginx", "1.0"), bool)
    assert_type(registry.client, OciClient)
    assert_type(registry.limits, Limits)


def test_the_fixtures(
    registry_client: OciClient,
    registry_docker_client: LoggedInClient,
    registry_docker_config: Path,
    registry_docker_cli: DockerCommand,
    registry_http: RegistrySession,
    registry_env: dict[str, str],
    registry_namespace: str,
    registry_needs: None,
    registry_push: Push,
    registry_images: list[Image],
    registry_nginx_image: Image,
    registry_nginx_container: WebContainer,
    registry_factory: Callable[..., Registry],
) -> None:
    """What the fixtures are."""
    assert_type(registry_push("nginx"), Image)
    assert_type(registry_push(synthetic_image(1, layers=2), tag="two"), Image)
    assert_type(registry_nginx_container.url, str)
    assert_type(registry_factory(image="registry:2"), Registry)
    print(registry_client, registry_docker_client, registry_docker_config, registry_env)
    assert_type(registry_docker_cli.pull(registry_nginx_image), Output)
    assert_type(registry_http.get(f"/v2/{registry_namespace}/app/tags/list").ok, bool)
    print(registry_images, registry_needs)


def test_limits(registry_limits: Limits) -> None:
    """A slot, and how long it took to get it."""
    with registry_limits.pull("samples/nginx") as operation:
        known: Operation = operation
        known.transferred(10)
        assert_type(operation.waited, float)
    assert_type([holder.repository for holder in registry_limits.holders("pull")], list[str])


def test_errors(registry: Registry) -> None:
    """The tree of errors has one root, with parts to read."""
    with pytest.raises(RegistryError) as raised:
        registry.pull("not/there")
    assert_type(raised.value, RegistryError)
    assert_type(raised.value.asked, str)
    assert_type(raised.value.remedy, str)
    with pytest.raises(ImageNotFound):
        registry.image("not/there")


def test_faults(registry: Registry, registry_faults: list[ActiveFault]) -> None:
    """What goes wrong, and how often it did."""
    with registry.faults("GET blob", nth=2, reset="middle") as fault:
        assert_type(fault, ActiveFault)
        assert_type(fault.hits, int)
    with registry.faults(Fault("manifest", status=503, retry_after=2)) as several:
        assert_type(several, list[ActiveFault])
        assert_type(several[0].matched, int)
    assert_type(registry_faults[0], ActiveFault)


def test_throttles(registry: Registry) -> None:
    """By a preset's name, or by figures."""
    with registry.throttle("azure-basic"):
        registry.client.ping()
    with registry.throttle(Throttle(pulls=2, answer="azure")):
        registry.client.ping()


def test_requests(registry: Registry) -> None:
    """The log, its filters and its assertions."""
    found = registry.requests.where("GET blob", matching=lambda request: request.status >= 500)
    assert_type(registry.requests, Requests)
    assert_type(found, Requests)
    assert_type(found[0], LoggedRequest)
    assert_type([request.status for request in found], list[int])
    registry.requests.assert_pulled_once("samples/nginx", "latest")


def test_images_of_every_kind(registry: Registry, tmp_path: Path) -> None:
    """From a file; and over HTTP, by a session and by the docker command."""
    made = synthetic_image(layers=2)
    assert_type(made, SyntheticImage)
    assert_type(made.manifest, Manifest)
    assert_type(made.manifest.layers[0], Descriptor)
    assert_type(registry.push(archived_image(tmp_path / "image.tar"), "samples/archived"), Image)
    assert_type(registry.http.get("/v2/").status_code, int)
    output = registry.docker_command.pull("samples/archived")
    assert_type(str(output), str)


def test_errors_have_kinds(registry: Registry) -> None:
    """What a test expects to be raised is a class of its own."""
    reader = registry.account("reader", pull="team/*")
    assert_type(reader, Registry)
    with pytest.raises((AuthenticationFailed, EngineUnavailable)):
        reader.push(synthetic_image(), "team/app")
