"""Bearer tokens as a test's own client meets them, on both engines: wrong, expired, too narrow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests

from pytest_registry import Registry, synthetic_image

Factory = Callable[..., Registry]

ENGINES = ["embedded", pytest.param("container", marks=pytest.mark.container_engine)]


@pytest.fixture(scope="module")
def by_token(registry_factory: Factory, ci_registry_image: str) -> Callable[[str], Registry]:
    """A registry of each engine whose tokens live for five seconds, holding `a:1`."""
    started: dict[str, Registry] = {}

    def find(engine: str) -> Registry:
        if engine not in started:
            started[engine] = registry_factory(
                scope="session",
                engine=engine,
                auth="bearer",
                token_lifetime=5.0,
                image=ci_registry_image,
            )
            started[engine].client.push(synthetic_image(), "a", "1")
        return started[engine]

    return find


def asked(
    registry: Registry, token: str, method: str = "GET", path: str = "/v2/a/tags/list"
) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, f"{registry.url}{path}", headers=headers, timeout=30)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_token_is_taken_until_its_lifetime_is_over(
    by_token: Callable[[str], Registry], engine: str
) -> None:
    registry = by_token(engine)
    token = registry.http.token("repository:a:pull")
    assert asked(registry, token).json() == {"name": "a", "tags": ["1"]}
    time.sleep(6.1)  # distribution counts whole seconds
    refused = asked(registry, token)
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert registry.client.tags("a") == ["1"], "our own client takes a new one"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_a_wrong_token_is_refused_with_a_challenge(
    by_token: Callable[[str], Registry], engine: str, token: str
) -> None:
    refused = asked(by_token(engine), token)
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert refused.headers["WWW-Authenticate"].startswith('Bearer realm="http://127.0.0.1:')


@pytest.mark.parametrize("engine", ENGINES)
def test_a_token_that_may_only_pull_pushes_nothing(
    by_token: Callable[[str], Registry], engine: str
) -> None:
    registry = by_token(engine)
    token = registry.http.token("repository:a:pull")
    refused = asked(registry, token, "POST", "/v2/a/blobs/uploads/")
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["code"] in ("DENIED", "UNAUTHORIZED")
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_token_for_one_repository_opens_no_other(
    by_token: Callable[[str], Registry], engine: str
) -> None:
    registry = by_token(engine)
    token = registry.http.token("repository:b:pull,push", "registry:catalog:*")
    assert asked(registry, token).status_code == 401
    assert asked(registry, token, path="/v2/_catalog").json() == {"repositories": ["a"]}
