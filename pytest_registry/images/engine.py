"""Images in a container engine: pushed to the run's registry, and pulled from it into the engine.

Workers share the engine's tags: a lock file for each keeps one process from removing what another
one is about to use. It is taken with a slot in hand, never the other way round: a test may hold a
slot of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.clients import engine_address
from pytest_registry.errors import EngineUnavailable, TransferError
from pytest_registry.images.files import TarFiles
from pytest_registry.images.sources import image_among
from pytest_registry.security.locks import locked

if TYPE_CHECKING:
    import docker

    from pytest_registry.clients.docker_sdk import LoggedInClient
    from pytest_registry.images.source import ImageSource

FETCHED = ("Pull complete", "Download complete")
NOT_FETCHED = "Already exists"
"""What engines say of a layer; of those of an image that they have under another name, nothing."""


def push_local(engine: LoggedInClient, source: str, reference: str, locks: Path) -> None:
    """Tag the engine's image `source` as `reference`, push it, and take the tag away again.

    Raises PushError, AuthenticationFailed; the tag goes in any case, but for one that was there.
    """
    from pytest_registry.clients.docker_sdk import has_image, push, tag

    with engine.slot("push", reference), hold(reference, locks):
        was_there = has_image(engine, reference)
        tag(engine, source, reference)
        try:
            push(engine, reference, **engine.way_to(reference))
        finally:
            if not was_there:
                forget(engine, reference)


def pull_local(engine: LoggedInClient, reference: str, locks: Path, *, fresh: bool) -> bool:
    """Pull `reference` into the engine; `fresh`: without what the engine has of it already.

    Layers that other images of the engine share are never sent again: the engine knows them.
    Returns whether that is as fresh as was asked for. Raises PullError, ImageNotFound,
    AuthenticationFailed.
    """
    from pytest_registry.clients.docker_sdk import pull

    with engine.slot("pull", reference), hold(reference, locks):
        if fresh:
            forget(engine, reference)
        lines = pull(engine, reference, **engine.way_to(reference))
    said = {line.get("status") for line in lines}
    return not fresh or (NOT_FETCHED not in said and not said.isdisjoint(FETCHED))


def saved_image(reference: str) -> ImageSource | None:
    """The engine's image as `docker save` writes it; None where no engine answers, or has it.

    Raises TransferError.
    """
    from pytest_registry.clients.docker_sdk import ENGINE_ERRORS, connect, first_line, has_image

    if not engine_address.is_likely():
        return None
    try:
        with contextlib.closing(connect()) as engine:
            return _saved(engine, reference) if has_image(engine, reference) else None
    except EngineUnavailable:
        return None
    except ENGINE_ERRORS as error:
        raise TransferError(
            f"read {reference} from the container engine",
            first_line(error),
            "see the engine's own log for more, and whether temporary files have room",
        ) from error


def _saved(engine: docker.DockerClient, reference: str) -> ImageSource:
    name = f"{reference} of the container engine"
    with tempfile.TemporaryFile() as file:  # nameless: nobody who is killed leaves it
        for block in engine.api.get_image(_as_saved(engine, reference)):
            file.write(block)
        file.seek(0)
        return image_among(TarFiles(file, name), name)


def _as_saved(engine: docker.DockerClient, reference: str) -> str:
    """The one name of an image: by one without a tag, all tags of a repository would be saved."""
    found = engine.api.inspect_image(reference)
    if found["Id"].removeprefix("sha256:").startswith(reference.removeprefix("sha256:")):
        return next(iter(found["RepoTags"] or ()), reference)
    has_target = ":" in reference.rpartition("/")[2] or "@" in reference
    return reference if has_target else f"{reference}:latest"


def forget(engine: LoggedInClient, reference: str) -> None:
    """Remove a name from the engine, and the image if that was its last one and nobody uses it."""
    from pytest_registry.clients.docker_sdk import gone_is_fine

    with gone_is_fine():
        engine.api.remove_image(reference)


@contextlib.contextmanager
def hold(reference: str, locks: Path) -> Iterator[None]:
    """Have the engine's name `reference` for this process while the context lasts."""
    locks.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(reference.encode()).hexdigest()[:24]
    with locked(locks / f"{name}.lock"):
        yield
