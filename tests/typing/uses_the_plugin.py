"""A test suite as users write it, with types: mypy --strict and pyright must accept it.

`.ci/run user_types` checks it against the installed wheel. It is not run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_type

import pytest

from pytest_registry import (
    Credentials,
    Image,
    Limits,
    LoggedInClient,
    OciClient,
    Push,
    Registry,
    RegistryError,
    WebContainer,
    synthetic_image,
)


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
    registry_env: dict[str, str],
    registry_push: Push,
    registry_images: list[Image],
    registry_nginx_container: WebContainer,
    registry_factory: Callable[..., Registry],
) -> None:
    """What the fixtures are."""
    assert_type(registry_push("nginx"), Image)
    assert_type(registry_push(synthetic_image(1, layers=2), tag="two"), Image)
    assert_type(registry_nginx_container.url, str)
    assert_type(registry_factory(image="registry:2"), Registry)
    print(registry_client, registry_docker_client, registry_docker_config, registry_env)
    print(registry_images)


def test_limits(registry_limits: Limits) -> None:
    """A slot, and how long it took to get it."""
    with registry_limits.pull("samples/nginx") as operation:
        assert_type(operation.waited, float)


def test_errors(registry: Registry) -> None:
    """The tree of errors has one root, with parts to read."""
    with pytest.raises(RegistryError) as raised:
        registry.pull("not/there")
    assert_type(raised.value, RegistryError)
    assert_type(raised.value.asked, str)
    assert_type(raised.value.remedy, str)
