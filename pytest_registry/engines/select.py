"""Choosing the engine: the only place that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_registry.engines.endpoint import Engine
from pytest_registry.errors import (
    EngineUnavailable,
    ImageNotFound,
    RateLimited,
    RegistryError,
    Unsupported,
)
from pytest_registry.oci.reference import Reference, in_hub_library
from pytest_registry.settings import Settings

if TYPE_CHECKING:
    import docker

NoteOfPull = Callable[[str], None]
"""Told the image's name before it is pulled, so that it is removed after the run even if this
process dies meanwhile."""


def choose(settings: Settings, note_pull: NoteOfPull, addition: str = "") -> Engine:
    """The engine that the settings ask for, behind the gateway where they ask for that too.

    `addition` is said after the reason for the choice. Raises EngineUnavailable where it cannot be
    used, Unsupported where it cannot throttle and shall.
    """
    engine = _chosen(settings, note_pull, addition)
    if engine.has_gate:
        return engine
    if settings.gateway:
        from pytest_registry.engines.gateway import GatewayEngine

        return GatewayEngine(engine)
    if settings.throttle is not None:
        raise Unsupported(
            f"throttle the registry's clients ({settings.throttle})",
            "their requests do not pass through anything of ours",
            "use --registry-engine=embedded, or put the gateway before it with --registry-gateway",
        )
    return engine


def _chosen(settings: Settings, note_pull: NoteOfPull, addition: str) -> Engine:
    asked_for = f"asked for by {settings.source('engine')}{addition}"
    if settings.engine == "embedded":
        return _embedded(settings, asked_for)
    if settings.url is not None:  # which chooses the engine external, and that wants one
        from pytest_registry.engines.external import ExternalEngine

        return ExternalEngine(settings.url, asked_for)
    if settings.engine == "container":
        return _container(settings, note_pull, asked_for)
    try:
        return _container(
            settings, note_pull, f"a container engine answers and has the image{addition}"
        )
    except RegistryError as error:
        why = f"no container: could not {error.asked}: {error.happened}"
        return _embedded(settings, f"{why}{addition}")


def _embedded(settings: Settings, reason: str) -> Engine:
    from pytest_registry.engines.embedded import EmbeddedEngine

    return EmbeddedEngine(reason, in_memory=settings.storage == "memory")


def _container(settings: Settings, note_pull: NoteOfPull, reason: str) -> Engine:
    from pytest_registry.clients import docker_sdk
    from pytest_registry.engines.container import ContainerEngine

    client = docker_sdk.connect()
    try:
        image = _at_hand(client, settings, note_pull)
        detail = f"{image} on {docker_sdk.describe(client)}"
    except docker_sdk.ENGINE_ERRORS as error:
        raise EngineUnavailable(
            f"find the registry image {settings.image}",
            f"the container engine answered: {error}",
            "see the engine's own log, or use --registry-engine=embedded",
            section="no-registry-image",
        ) from error
    return ContainerEngine(client, image, detail, reason)


def _at_hand(client: docker.DockerClient, settings: Settings, note_pull: NoteOfPull) -> str:
    """The registry image's name in the engine, pulled where it is missing."""
    from pytest_registry.clients import docker_sdk

    image = Reference.parse(settings.image, default_registry=settings.upstream)
    names = [settings.image, str(image)]
    if in_hub_library(settings.image, settings.upstream):
        names.append(str(image._replace(repository=f"library/{image.repository}")))
    for name in names:
        if docker_sdk.has_image(client, name):
            return name
    return _pull_first(client, names[1:], settings.image, note_pull)


def _pull_first(
    client: docker.DockerClient, names: list[str], image: str, note_pull: NoteOfPull
) -> str:
    """Pull the first of `names` that its registry has."""
    from pytest_registry.clients import docker_sdk

    first, *others = names
    note_pull(first)
    try:
        docker_sdk.pull(client, first)
    except ImageNotFound:
        if not others:
            raise
        return _pull_first(client, others, image, note_pull)
    except RateLimited:
        raise
    except RegistryError as error:
        raise EngineUnavailable(
            f"get the registry image {first}",
            f"the engine does not have it, and pulling it failed: {error.happened}",
            f"pull or load it before the run (docker pull {image}), name one that is at hand with"
            " --registry-image, or use --registry-engine=embedded",
            section="no-registry-image",
        ) from error
    return first
