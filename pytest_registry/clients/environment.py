"""Environments: of the container engine's clients, and of commands logged in to the registry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pytest_registry.clients import engine_address
from pytest_registry.clients.config_directory import ConfigDirectory


def engine_environment() -> dict[str, str]:
    """This process's environment with the container engine said outright, as DOCKER_HOST.

    docker-py before 7.2 knows nothing of contexts, testcontainers not all of them, and commands
    that are given another DOCKER_CONFIG do not see the user's. So all of them use one engine.
    """
    environment = dict(engine_address.environment())
    if not environment.get("DOCKER_HOST") and engine_address.is_likely():
        environment.update(_engine_of_context())
    environment.pop("DOCKER_CONTEXT", None)
    return environment


@contextlib.contextmanager
def engines_own_authority() -> Iterator[bool]:
    """Keep requests, below docker-py, from trusting another authority than DOCKER_CERT_PATH's.

    It takes REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE before what docker-py tells it. They are out of
    this process's environment meanwhile; a client that is made here needs `trust_env = False`
    where the value is true, for the time after.
    """
    if not engine_environment().get("DOCKER_CERT_PATH"):
        yield False
        return
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    before = {name: os.environ[name] for name in names if name in os.environ}
    try:
        for name in before:
            del os.environ[name]
        yield True
    finally:
        os.environ.update(before)


def client_environment(config: Path) -> dict[str, str]:
    """This process's environment with the login of `config`, a DOCKER_CONFIG directory.

    DOCKER_CONFIG is read by docker, crane, regctl and oras, HELM_REGISTRY_CONFIG by helm,
    REGISTRY_AUTH_FILE and CONTAINERS_REGISTRIES_CONF by podman, buildah and skopeo. With TLS,
    commands written in Go and OpenSSL read SSL_CERT_FILE, requests REQUESTS_CA_BUNDLE, curl
    CURL_CA_BUNDLE: all name the system's authorities and the run's.
    """
    directory = ConfigDirectory(config)
    environment = engine_environment()
    environment["DOCKER_CONFIG"] = str(config)
    environment["REGISTRY_AUTH_FILE"] = str(directory.login)
    environment["HELM_REGISTRY_CONFIG"] = str(directory.login)
    if directory.registries.exists():
        environment["CONTAINERS_REGISTRIES_CONF"] = str(directory.registries)
    if directory.authorities.exists():
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            environment[name] = str(directory.authorities)
    return environment


def _engine_of_context() -> dict[str, str]:
    from docker.context import ContextAPI

    try:
        context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    except Exception:  # what docker-py raises for a broken file; connecting will tell of it
        return {}
    if context is None or not context.Host:
        return {}
    variables = {"DOCKER_HOST": str(context.Host)}
    tls = context.TLSConfig
    if tls is not None and tls.ca_cert:
        variables["DOCKER_CERT_PATH"] = str(Path(tls.ca_cert).parent)
        variables["DOCKER_TLS_VERIFY"] = "1" if tls.verify else ""
    return variables
