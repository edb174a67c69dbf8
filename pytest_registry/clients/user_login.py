"""The user's own logins, as the docker command and podman keep them: read, never written."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_registry.oci.reference import DOCKER_HUB, normal_registry
from pytest_registry.security.credentials import TOKEN_USER, Credentials

HUB_KEY = "https://index.docker.io/v1/"
"""The name under which logins to Docker Hub are kept."""

HELPER_TIMEOUT = 20.0
"""Seconds that a credential helper may take; some ask a service."""


def user_login(registry: str, environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """The user's login to a registry, None where there is none; never an error.

    Docker's config.json comes first (`DOCKER_CONFIG`), with its credential helpers, then podman's
    auth.json. What cannot be read counts as no login: most images need none.
    """
    host = normal_registry(registry)
    for path in _files(environment):
        found = _login(_read(path), host, environment)
        if found is not None:
            return found
    return None


def helper_for(registry: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The command of the credential helper that the user's config names for a registry."""
    host = normal_registry(registry)
    for path in _files(environment):
        helper = _helper(_read(path), host)
        if helper is not None:
            return f"docker-credential-{helper}"
    return None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environment.get("HOME", "/nonexistent"))
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if environment.get("REGISTRY_AUTH_FILE"):
        yield Path(environment["REGISTRY_AUTH_FILE"])
    if environment.get("XDG_RUNTIME_DIR"):
        yield Path(environment["XDG_RUNTIME_DIR"], "containers", "auth.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _helper(config: dict[str, Any], host: str) -> str | None:
    helper = _entry(config.get("credHelpers"), host) or config.get("credsStore")
    return helper if isinstance(helper, str) and helper else None


def _login(config: dict[str, Any], host: str, environment: Mapping[str, str]) -> Credentials | None:
    helper = _helper(config, host)
    if helper is not None:
        found = _ask_helper(helper, HUB_KEY if host == DOCKER_HUB else host, environment)
        if found is not None:
            return found
    return _decode(_entry(config.get("auths"), host))


def _entry(entries: object, host: str) -> Any:
    """What stands under the host's name, which may be written as an address with a path."""
    if not isinstance(entries, dict):
        return None
    for name, value in entries.items():
        address = name.partition("://")[2] or name
        if normal_registry(address.partition("/")[0]) == host:
            return value
    return None


def _decode(entry: Any) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(TOKEN_USER, token)
    try:
        decoded = base64.b64decode(entry["auth"], validate=True).decode()
    except (KeyError, TypeError, ValueError):
        return None
    username, colon, password = decoded.partition(":")
    return Credentials(username, password.rstrip("\0")) if colon and username else None


def _ask_helper(name: str, server: str, environment: Mapping[str, str]) -> Credentials | None:
    """The answer of `docker-credential-NAME get`; None where it has none, fails, or is missing."""
    try:
        done = subprocess.run(
            [f"docker-credential-{name}", "get"],
            input=server.encode(),
            env={**os.environ, **environment},  # callers may give but what differs
            capture_output=True,
            timeout=HELPER_TIMEOUT,
            check=True,
        )
        answer = json.loads(done.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    return Credentials(username or TOKEN_USER, secret)
