"""The environment in which commands are logged in to the run's registry."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_registry.clients import engine_address


def client_environment(config: Path) -> dict[str, str]:
    """This process's environment with the login of `config`, a DOCKER_CONFIG directory.

    DOCKER_CONFIG is read by docker, crane, regctl, oras and helm, REGISTRY_AUTH_FILE by podman,
    buildah and skopeo. Another DOCKER_CONFIG hides the user's contexts, so the engine that the
    current one names is said outright.
    """
    environment = dict(engine_address.environment())
    if not environment.get("DOCKER_HOST") and engine_address.is_likely():
        environment.update(_engine_of_context())
    environment.pop("DOCKER_CONTEXT", None)
    environment["DOCKER_CONFIG"] = str(config)
    environment["REGISTRY_AUTH_FILE"] = str(config / "config.json")
    return environment


def _engine_of_context() -> dict[str, str]:
    from docker.context import ContextAPI

    context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    if context is None or not context.Host:
        return {}
    variables = {"DOCKER_HOST": str(context.Host)}
    tls = context.TLSConfig
    if tls is not None and tls.ca_cert:
        variables["DOCKER_CERT_PATH"] = str(Path(tls.ca_cert).parent)
        variables["DOCKER_TLS_VERIFY"] = "1" if tls.verify else ""
    return variables
