"""Removing what a run made, and what dead runs left: by label and by name, nothing else."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.errors import EngineUnavailable, RegistryError
from pytest_registry.security.files import read_lines, write_secret
from pytest_registry.security.locks import locked
from pytest_registry.sharing import elsewhere, owed, state
from pytest_registry.sharing.limiting import Say
from pytest_registry.sharing.liveness import is_held
from pytest_registry.sharing.run import (
    LABEL_RUN,
    Run,
    directories_of_runs,
    remove_if_empty,
    this_machine,
)

if TYPE_CHECKING:
    import docker

ENGINE_RESTART = 6.0
"""Seconds for which an engine that does not answer is asked again: it may be restarting."""

ENGINE_TIMEOUT = 10.0
"""Seconds that one answer of an engine may take while we clean up."""

SETTLE = 1.0
"""Seconds after which an engine has ended what a killed client had asked of it."""

UNBORN_AGE = 3600.0
"""Seconds after which a run's directory that never got its name counts as left behind."""


def clean(run: Run, say: Say | None = None) -> None:
    """Remove all that the run made in the container engine, and its directory.

    What an engine that is gone still has is noted, for a later run to remove. `say` is told what
    one waits for. Raises StateError.
    """
    with contextlib.suppress(RegistryError):
        elsewhere.clear(run, state.find_endpoint(run), say)
    debt = _clean_engine(run) if _used_container_engine(run) else None
    remove_directory(run.directory)
    if debt is not None:
        owed.note(run.state_directory, run.id, debt)
    remove_if_empty(run.directory.parent)


def pay_debts(run: Run) -> None:
    """Remove what earlier runs could not; what the engine does not do now stays owed."""
    due = [(path, made) for path, made in owed.debts(run.state_directory) if owed.is_due(made)]
    if due:
        from pytest_registry.clients.docker_sdk import ENGINE_ERRORS

        with contextlib.suppress(EngineUnavailable, *ENGINE_ERRORS), _engine(0.0) as client:
            for path, made in due:
                _remove(client, made)
                owed.paid(path)


def remove_directory(directory: Path) -> None:
    """Remove a directory that another process may be removing or writing at this time."""
    for _ in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.02)
    shutil.rmtree(directory)


def sweep(run: Run) -> list[str]:
    """Clean up after this user's dead runs, beside this one on this machine; their names."""
    swept = []
    for directory in directories_of_runs(run.directory.parent):
        if _is_left_behind(directory):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                clean(Run.read(directory))
                swept.append(directory.name)
            remove_directory(directory)
    return swept


def remove_labelled(client: docker.DockerClient, labels: dict[str, str]) -> None:
    """Remove the containers, volumes and networks that bear all of `labels`."""
    from pytest_registry.clients.docker_sdk import gone_is_fine, remove_container

    wanted = {"label": [f"{key}={value}" for key, value in labels.items()]}
    for container in client.api.containers(all=True, filters=wanted):
        remove_container(client, container["Id"])
    for volume in client.api.volumes(filters=wanted).get("Volumes") or ():
        with gone_is_fine():
            client.api.remove_volume(volume["Name"], force=True)
    for network in client.api.networks(filters=wanted):
        with gone_is_fine():
            client.api.remove_network(network["Id"])


def note_references(run: Run, place: str) -> None:
    """Write down what the container engine holds under the registry's name already.

    Called before the run first uses the engine: what comes later is removed at the end. Raises
    EngineUnavailable.
    """
    if run.references_before.exists():
        return
    from pytest_registry.clients import docker_sdk

    with contextlib.closing(docker_sdk.connect()) as client:
        before = references_under(client, place)
    # The first to write is right: a later one may see what the first has made since.
    with locked(run.file("references-before.lock")):
        if not run.references_before.exists():
            write_secret(run.references_before, "".join(f"{name}\n" for name in before))


def remove_references(client: docker.DockerClient, host: str, before: Iterable[str]) -> None:
    """Remove tags and digests under the registry's name that came since the run began.

    An image that has no other name goes with its last one; images of the user's stay. Tags go
    first, and what is left is asked anew: Podman's digests are made of tags, and go with them. To
    remove one of them by force would remove the image with all its names.
    """
    from pytest_registry.clients.docker_sdk import gone_is_fine

    for is_tag in (True, False):
        for reference in set(references_under(client, host)) - set(before):
            if is_tag == ("@" not in reference):
                with gone_is_fine():
                    client.api.remove_image(reference, force=True)


def remove_pulled(client: docker.DockerClient, images: Iterable[str]) -> None:
    """Remove images that a run pulled, unless somebody else's container uses them."""
    from pytest_registry.clients.docker_sdk import gone_is_fine

    for image in images:
        with gone_is_fine():
            client.api.remove_image(image)


def references_under(client: docker.DockerClient, host: str) -> list[str]:
    """The tags and digests in the engine that begin with `HOST/`."""
    names: list[str] = []
    for image in client.api.images():
        names += [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
    return [name for name in names if name.startswith(f"{host}/")]


def _clean_engine(run: Run) -> owed.Made | None:
    """Remove what the run made in the engine; what is still there if the engine is gone."""
    from pytest_registry.clients.docker_sdk import ENGINE_ERRORS

    made = owed.Made(
        {LABEL_RUN: run.id},
        _daemon_place(run),
        tuple(read_lines(run.references_before)),
        tuple(read_lines(run.pulled)),
    )
    try:
        with _engine() as client:
            _remove(client, made)
            if not run.finished.exists():
                # A process that was killed may have asked for a container that is being made now.
                time.sleep(SETTLE)
                _remove(client, made)
    except (EngineUnavailable, *ENGINE_ERRORS):
        return made
    return None


def _remove(client: docker.DockerClient, made: owed.Made) -> None:
    remove_labelled(client, made.labels)
    if made.host is not None:
        remove_references(client, made.host, made.before)
    remove_pulled(client, made.pulled)


def _used_container_engine(run: Run) -> bool:
    marks = (run.used_engine, run.references_before, run.pulled)
    return any(mark.exists() for mark in marks)


@contextlib.contextmanager
def _engine(patience: float = ENGINE_RESTART) -> Iterator[docker.DockerClient]:
    """The container engine; one that is restarting is waited for. Raises EngineUnavailable."""
    from pytest_registry.clients import docker_sdk

    deadline = time.monotonic() + patience
    while True:
        try:
            client = docker_sdk.connect(ENGINE_TIMEOUT)
            break
        except EngineUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    with contextlib.closing(client):
        yield client


def _daemon_place(run: Run) -> str | None:
    """Under which name the engine holds what came from the run's registry.

    None where an earlier run kept that registry: other runs use it too, and its keeper removes all.
    """
    if run.reused.exists():
        return None
    endpoint = state.find_endpoint(run)
    return None if endpoint is None else endpoint.daemon_place


def _is_left_behind(directory: Path) -> bool:
    if directory.name.startswith("."):
        with contextlib.suppress(FileNotFoundError):
            return time.time() - directory.stat().st_mtime > UNBORN_AGE
        return False
    try:
        if is_held(directory / "keeper.lock"):
            return False
        run = Run.read(directory)
        return _is_here(run) and not is_held(run.life) and run.directory.samefile(directory)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return True  # nobody knows any more what run it was
    except OSError:
        return False  # as without open files to be had: it may be living


def _is_here(run: Run) -> bool:
    """A state directory may be shared by hosts whose locks do not see each other."""
    return run.machine.partition("/")[0] == this_machine().partition("/")[0]
