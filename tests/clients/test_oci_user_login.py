"""The user's own logins: where docker and podman keep them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.clients.user_login import user_login
from pytest_registry.security.credentials import Credentials, client_auth_config

ME = Credentials("me", "pass:word")
AUTH = {"auth": base64.b64encode(b"me:pass:word").decode()}


@pytest.fixture
def config(tmp_path: Path) -> Callable[[object], dict[str, str]]:
    """Writes a config.json; returns the environment that names it."""

    def write(value: object) -> dict[str, str]:
        text = value if isinstance(value, str) else json.dumps(value)
        (tmp_path / "config.json").write_text(text)
        return {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path / "home")}

    return write


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper named `scripted`, to be written."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "docker-credential-scripted"


Config = Callable[[object], dict[str, str]]


@pytest.mark.parametrize(
    ("kept", "registry"),
    [
        ("h.example:5000", "h.example:5000"),
        ("https://h.example/v2/", "h.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "registry-1.docker.io"),
    ],
)
def test_a_login_is_found_under_every_form_of_its_name(
    config: Config, kept: str, registry: str
) -> None:
    assert user_login(registry, config({"auths": {"other": {}, kept: AUTH}})) == ME
    assert user_login("other.example", config({"auths": {kept: AUTH}})) is None


def test_what_we_write_ourselves_is_read_back(config: Config) -> None:
    environment = config(client_auth_config({"h.example": ME}))
    assert user_login("h.example", environment) == ME


def test_an_identity_token_is_a_refresh_token(config: Config) -> None:
    environment = config({"auths": {"h": {**AUTH, "identitytoken": "refresh"}}})
    assert user_login("h", environment) == Credentials("<token>", "refresh")


@pytest.mark.parametrize(
    "value",
    [
        "no JSON",
        "[]",
        {},
        {"auths": []},
        {"auths": {"h": None}},
        {"auths": {"h": {"auth": "?"}}},
        {"auths": {"h": {"auth": 5}}},
        {"auths": {"h": {"auth": base64.b64encode(b"no colon").decode()}}},
        {"auths": {"h": {}}, "credsStore": "that-nobody-installed"},
    ],
)
def test_what_cannot_be_read_is_no_login(config: Config, value: Any) -> None:
    assert user_login("h", config(value)) is None


def test_podmans_logins_come_second(config: Config, tmp_path: Path) -> None:
    podman = tmp_path / "auth.json"
    podman.write_text(json.dumps({"auths": {"h": AUTH, "i": {}}}))
    environment = {**config({"auths": {"i": AUTH}}), "REGISTRY_AUTH_FILE": str(podman)}
    assert user_login("h", environment) == user_login("i", environment) == ME
    (tmp_path / "containers").mkdir()
    podman.rename(tmp_path / "containers" / "auth.json")
    assert user_login("h", {"XDG_RUNTIME_DIR": str(tmp_path)}) == ME


@pytest.mark.parametrize(
    "helpers", [{"credsStore": "scripted"}, {"credHelpers": {"h": "scripted"}}]
)
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('echo "{\\"Username\\": \\"me\\", \\"Secret\\": \\"$(cat)\\"}"', Credentials("me", "h")),
        ('echo "{\\"Username\\": \\"\\", \\"Secret\\": \\"t\\"}"', Credentials("<token>", "t")),
        ("echo credentials not found; exit 1", ME),
        ("echo nonsense", ME),
    ],
)
def test_a_credential_helper_is_asked_before_the_file(
    config: Config, helper: Path, helpers: object, script: str, expected: Credentials
) -> None:
    assert isinstance(helpers, dict)
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    assert user_login("h", config({**helpers, "auths": {"h": AUTH}})) == expected


def test_a_client_of_another_registry_has_the_users_login(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in config({"auths": {"h.example": AUTH}}).items():
        monkeypatch.setenv(name, value)
    found = OciClient.for_registry("h.example")._session._authorizer._credentials
    assert found == ME
    given = Credentials("other", "one")
    mine = OciClient.for_registry("h.example", given)._session._authorizer._credentials
    assert mine == given
