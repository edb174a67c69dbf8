"""Registries that start, and those that cannot; run by tests/engines/test_starts.py."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator

import pytest

from pytest_registry import Credentials, OciClient, Registry, RegistryError, synthetic_image
from pytest_registry.clients.docker_sdk import LoggedInClient
from pytest_registry.errors import (
    AuthenticationFailed,
    EngineUnavailable,
    ImageNotFound,
    RateLimited,
    StartError,
)
from pytest_registry.limits.policy import Unlimited
from pytest_registry.server import RegistryServer, ServerSettings
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response

LAYOUTS = json.loads(os.environ["LAYOUTS"])
REFUSED = "127.0.0.1:1/nothing:1"
"""An image of a registry that does not answer."""
HUB_SAYS = (
    "You have reached your unauthenticated pull rate limit."
    " https://www.docker.com/increase-rate-limit"
)

Factory = Callable[..., Registry]


def rate_limited(_request: Request, _proceed: object) -> Response:
    """What Docker Hub answers."""
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": HUB_SAYS}]}).encode()
    headers = {"Retry-After": "3600", "Content-Type": "application/json"}
    return Response(429, headers, body)


@pytest.fixture
def upstreams() -> Iterator[dict[str, str]]:
    """Hosts of upstream registries: one that holds nothing, and one whose limit is reached."""
    with (
        RegistryServer(ServerSettings()) as empty,
        RegistryServer(ServerSettings(interceptor=rate_limited)) as hub,
    ):
        yield {"empty": empty.host, "hub": hub.host}


def is_told_well(error: RegistryError) -> None:
    assert error.asked
    assert error.happened
    assert error.remedy
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_image_starts_and_asks_for_the_password(
    registry_factory: Factory, layout: str
) -> None:
    registry = registry_factory(image=layout)
    assert registry.engine == "container"
    image = registry.push(synthetic_image(), "a/b")
    registry.delete("a/b")
    assert not registry.exists("a/b")
    stranger = Credentials(registry.credentials.username, "another-password")
    with OciClient(registry.url, stranger) as client, pytest.raises(AuthenticationFailed) as caught:
        client.manifest("a/b", image.digest)
    is_told_well(caught.value)
    with pytest.raises(AuthenticationFailed, match="log in to") as refused:
        LoggedInClient.log_in(registry.host, stranger, registry.client_config, Unlimited())
    is_told_well(refused.value)
    for said in (str(caught.value), str(refused.value)):
        assert "another-password" not in said
        assert registry.credentials.password not in said


@pytest.mark.parametrize(
    ("image", "start_timeout", "happened", "last_words"),
    [
        ("silent", 5.0, "it did not answer in time", "I am busy"),
        ("brief", 60.0, "ended", "cannot read my configuration"),
        ("broken", 60.0, "ended", "/no/such/registry: not found"),
    ],
)
def test_a_registry_that_does_not_come_up_is_told_with_its_last_words(
    registry_factory: Factory, image: str, start_timeout: float, happened: str, last_words: str
) -> None:
    name = f"pytest-registry-tests/{image}:1"
    with pytest.raises(StartError) as caught:
        registry_factory(image=name, start_timeout=start_timeout)
    is_told_well(caught.value)
    assert name in caught.value.asked
    assert happened in caught.value.happened
    assert any(last_words in line for line in caught.value.log)


def test_an_image_that_cannot_be_had_is_told_with_the_ways_out(registry_factory: Factory) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        registry_factory(image=REFUSED)
    is_told_well(caught.value)
    assert REFUSED in caught.value.asked
    assert "connection refused" in caught.value.happened
    assert f"docker pull {REFUSED}" in caught.value.remedy
    assert "--registry-engine=embedded" in caught.value.remedy


def test_an_image_that_is_not_upstream_is_not_found(
    registry_factory: Factory, upstreams: dict[str, str]
) -> None:
    empty = upstreams["empty"]
    with pytest.raises(ImageNotFound) as caught:
        registry_factory(image="no-such-registry:1", upstream=empty)
    is_told_well(caught.value)
    registry = registry_factory(engine="embedded", upstream=empty)
    with pytest.raises(ImageNotFound, match="no-such-image") as missing:
        registry.push("no-such-image:1", "a/c")
    is_told_well(missing.value)


def test_docker_hubs_limit_is_told_as_such_by_both_clients(
    registry_factory: Factory, upstreams: dict[str, str]
) -> None:
    hub = upstreams["hub"]
    with pytest.raises(RateLimited) as by_engine:
        registry_factory(image="no-such-registry:1", upstream=hub)
    registry = registry_factory(engine="embedded", upstream=hub)
    with pytest.raises(RateLimited) as over_http:
        registry.push("no-such-image:1", "a/d")
    assert over_http.value.retry_after == 3600
    for error in (by_engine.value, over_http.value):
        is_told_well(error)
        assert "pull rate limit" in error.happened
        assert "mirror" in error.remedy


@pytest.mark.parametrize(
    ("image", "upstream", "why"),
    [
        (REFUSED, "docker.io", "connection refused"),
        ("no-such-registry:1", "hub", "pull rate limit"),
        ("no-such-registry:1", "empty", "not found"),
    ],
)
def test_auto_takes_the_embedded_server_and_says_why_there_is_no_container(
    registry_factory: Factory, upstreams: dict[str, str], image: str, upstream: str, why: str
) -> None:
    upstream = upstreams.get(upstream, upstream)
    registry = registry_factory(engine="auto", image=image, upstream=upstream)
    assert registry.engine == "embedded"
    assert registry.endpoint.reason.startswith("no container: could not ")
    assert why in registry.endpoint.reason


def test_auto_takes_a_container_where_the_engine_has_the_image(registry_factory: Factory) -> None:
    registry = registry_factory(engine="auto")
    assert registry.engine == "container"
    assert registry.endpoint.reason == "a container engine answers and has the image"


def test_a_mirror_of_docker_hub_has_one_word_names_below_library(
    registry_factory: Factory,
) -> None:
    with RegistryServer(ServerSettings()) as server, OciClient(server.url) as mirror:
        mirror.push(synthetic_image(), "library/mirrored", "1")
        registry = registry_factory(engine="embedded", upstream=server.host)
        assert registry.push("mirrored:1").repository == "mirrored"
