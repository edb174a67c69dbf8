"""docker-py (the Docker SDK for Python): connecting, and pushes and pulls that raise.

This module imports docker at its top and is itself imported only where docker is needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import docker
import docker.errors
import requests.exceptions
from docker.constants import DEFAULT_NUM_POOLS
from docker.models.images import Image as EngineImage
from docker.models.images import ImageCollection

from pytest_registry.clients import engine_address, podman, ssh
from pytest_registry.clients.engine_words import fail
from pytest_registry.clients.environment import engine_environment, engines_own_authority
from pytest_registry.clients.forks import begin_anew_in_children, give_new_pools
from pytest_registry.errors import (
    EngineUnavailable,
    PullError,
    PushError,
    RegistryError,
    TransferError,
)
from pytest_registry.limits.policy import Kind, OperationLimits, slot_for
from pytest_registry.oci.reference import Reference, located
from pytest_registry.report.progress import Bar, shown
from pytest_registry.security.credentials import Credentials

ENGINE_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
"""What docker-py lets through: its own errors, those of the library below, and the socket's."""

TIMEOUT = 300
"""Seconds that one answer of the engine may take; a push or pull answers often meanwhile."""

FIRST_TIMEOUT = 15
"""Seconds in which an engine must answer for the first time, or there is none."""


def connect(timeout: float = TIMEOUT) -> docker.DockerClient:
    """Connect to the engine that the docker command would use; raises EngineUnavailable.

    That is DOCKER_HOST, else the current context, else the default socket, else Podman's.
    """
    return _connect(docker.DockerClient, timeout)


def describe(client: docker.DockerClient) -> str:
    """The engine's name and version, such as `Docker 20.10.24`."""
    name = "Podman" if podman.is_podman(client) else "Docker"
    return f"{name} {client.version().get('Version', '')}".strip()


def has_image(client: docker.DockerClient, image: str) -> bool:
    """Whether the engine holds `image`, by name, digest or id; False for what is no name."""
    try:
        client.api.inspect_image(image)
    except docker.errors.APIError as error:
        if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
            return False
        raise
    return True


def tag(client: docker.DockerClient, source: str, reference: str) -> None:
    """Give the engine's image `source` one more name; raises ImageNotFound, PushError."""
    repository, _, name = reference.rpartition(":")
    with _translated(f"tag {source} as {reference}", PushError):
        client.api.tag(source, repository, name)


def pull(
    client: docker.DockerClient,
    image: str,
    credentials: Credentials | None = None,
    *,
    by_podman: bool = False,
    **options: Any,
) -> list[dict[str, Any]]:
    """Pull an image by its whole reference; raises what the engine reports in its stream.

    The lines of the stream are returned, decoded, less those of progress. Without credentials the
    engine is given the user's own login for that registry. `options` are those of docker-py's
    `APIClient.pull`, and of no use with `by_podman`: in Podman's own way, without comparing
    certificates.
    """
    reference = Reference.parse(image)
    repository = f"{reference.registry}/{reference.repository}"
    options.setdefault("auth_config", _auth(credentials))
    own = credentials is not None
    with _translated(f"pull {reference}", PullError, own=own):
        if by_podman:
            stream = podman.pull(client, str(reference), options["auth_config"])
        else:
            stream = client.api.pull(
                repository, tag=reference.target, **{**options, "stream": True, "decode": True}
            )
        with shown(f"pull {reference}") as bar:
            lines = [line for line in told(stream, bar) if not line.get("progressDetail")]
    _raise_errors(lines, f"pull {reference}", PullError, own=own)
    return lines


def push(
    client: docker.DockerClient,
    image: str,
    credentials: Credentials | None,
    *,
    by_podman: bool = False,
    **options: Any,
) -> list[dict[str, Any]]:
    """Push a local tag; raises what the engine reports in its stream (docker-py does not).

    The lines of the stream are returned, decoded. `options` are those of `APIClient.push`, and of
    no use with `by_podman`: without comparing certificates.
    """
    reference = Reference.parse(image)
    repository = f"{reference.registry}/{reference.repository}"
    options.setdefault("auth_config", _auth(credentials))
    own = credentials is not None
    with _translated(f"push {reference}", PushError, own=own):
        if by_podman:
            stream = podman.push(client, repository, reference.target, options["auth_config"])
        else:
            stream = client.api.push(
                repository, tag=reference.target, **{**options, "stream": True, "decode": True}
            )
        with shown(f"push {reference}") as bar:
            lines = list(told(stream, bar))
    _raise_errors(lines, f"push {reference}", PushError, own=own)
    return lines


@contextmanager
def gone_is_fine() -> Iterator[None]:
    """Let pass that a thing is gone (404), or in somebody's use or going already (409)."""
    try:
        yield
    except docker.errors.APIError as error:
        if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise


def remove_container(client: docker.DockerClient, container: str) -> None:
    """Kill and remove a container with its anonymous volumes; one that is gone is no error."""
    with gone_is_fine():
        client.api.remove_container(container, force=True, v=True)


def told(stream: Iterable[dict[str, Any]], bar: Bar | None) -> Iterator[dict[str, Any]]:
    """The lines of an engine's stream, told to a progress bar on their way."""
    for line in stream:
        if bar is not None:
            bar.line(line)
        yield line


class LimitedImages(ImageCollection):  # type: ignore[misc] # docker has no types
    """`client.images`, whose `push` and `pull` take the run's slots, are logged in, and raise."""

    client: LoggedInClient

    def push(self, repository: str, tag: str | None = None, **options: Any) -> Any:
        """Push as docker-py does, within a push slot; raises PushError, AuthenticationFailed."""
        decoded = options.pop("decode", False)
        streamed = options.pop("stream", False)
        image = _join(repository, tag)
        with self.client.slot("push", image):
            lines = push(self.client, image, **self.client.way_to(image), **options)
        texts = lines if decoded else [json.dumps(line) for line in lines]
        return iter(texts) if streamed else "\r\n".join(map(str, texts))

    def pull(
        self, repository: str, tag: str | None = None, all_tags: bool = False, **options: Any
    ) -> EngineImage | list[EngineImage]:
        """Pull as docker-py does, within a pull slot; raises PullError, ImageNotFound."""
        image = _join(repository, tag)
        with self.client.slot("pull", image):
            if all_tags:
                options.setdefault("auth_config", _auth(self.client.credentials_for(image)))
                with _translated(f"pull all tags of {repository}", PullError):
                    return super().pull(repository, all_tags=True, **options)
            pull(self.client, image, **self.client.way_to(image), **options)
        return self.get(image)


class LoggedInClient(docker.DockerClient):  # type: ignore[misc] # docker has no types
    """A docker-py client that is logged in to the run's registry.

    It reads logins from the run's own config directory only, never from the user's.
    """

    _host: str
    _credentials: Credentials
    _limits: OperationLimits
    _is_podman: bool = False

    @classmethod
    def log_in(
        cls, host: str, credentials: Credentials, config: Path, limits: OperationLimits
    ) -> LoggedInClient:
        """Connect and log in to `host`.

        Raises AuthenticationFailed, or EngineUnavailable where no engine answers or the engine does
        not reach the registry.
        """
        client = _connect(cls, TIMEOUT)
        begin_anew_in_children(client)
        client._host, client._credentials, client._limits = host, credentials, limits
        try:
            client._log_in(config)
        except BaseException:
            client.close()
            raise
        return client

    def after_fork(self) -> None:
        """Have connections of this process's own."""
        give_new_pools(self.api.adapters.values())
        for adapter in self.api.adapters.values():
            if isinstance(adapter, ssh.SshAdapter):
                adapter.begin_anew()
            elif hasattr(adapter, "pools"):  # docker-py's own, for sockets
                dispose = adapter.pools.dispose_func
                adapter.pools = type(adapter.pools)(DEFAULT_NUM_POOLS, dispose)

    def _log_in(self, config: Path) -> None:
        host, account = self._host, self._credentials
        self.api.reload_config(str(config / "config.json"))
        if not account.username:
            return  # the registry asks nobody for a login
        self._is_podman = podman.is_podman(self)
        if self._is_podman:
            return  # its login speaks verified TLS only; every push and pull brings the password
        with _translated(f"log in to {host} as {account.username}", EngineUnavailable):
            self.login(account.username, account.password, registry=host, reauth=True)

    @property
    def images(self) -> LimitedImages:
        """The engine's images, with limits and errors."""
        return LimitedImages(self)

    def slot(self, kind: Kind, image: str) -> AbstractContextManager[object]:
        """A slot for an operation on the run's registry; other registries have no limit here."""
        return slot_for(self._limits, kind, image, self._host)

    def credentials_for(self, image: str) -> Credentials | None:
        """The run's login for the run's registry, None for others: docker-py then finds its own."""
        return self._credentials if self._is_ours(image) else None

    def way_to(self, image: str) -> dict[str, Any]:
        """What `push` and `pull` need to know of the registry that `image` is in."""
        by_podman = self._is_podman and self._is_ours(image)
        return {"credentials": self.credentials_for(image), "by_podman": by_podman}

    def _is_ours(self, image: str) -> bool:
        return image.startswith(f"{self._host}/")


_Client = TypeVar("_Client", bound=docker.DockerClient)


def _connect(kind: type[_Client], timeout: float) -> _Client:
    if not engine_address.is_likely():
        raise _no_engine("nobody listens where DOCKER_HOST, the context or the usual sockets are")
    environment = engine_environment()
    context = os.environ.get("DOCKER_CONTEXT") or "default"
    if context != "default" and not environment.get("DOCKER_HOST"):
        # It is not the default one that was meant, which docker-py would take.
        raise _no_engine(
            f"DOCKER_CONTEXT is {context}, and no config.json stands beside such a one"
        )
    try:
        with engines_own_authority() as only:
            client: _Client = kind.from_env(timeout=FIRST_TIMEOUT, **ssh.arguments(environment))
            client.api.trust_env = not only
        ssh.lead(client, environment)
    except RegistryError:
        raise
    except Exception as error:  # a bare one for a broken context, others for odd addresses
        raise _no_engine(first_line(error)) from error
    client.api.timeout = timeout
    return client


def _no_engine(happened: str) -> EngineUnavailable:
    return EngineUnavailable(
        "reach a container engine",
        happened,
        "start Docker or Podman, or point DOCKER_HOST to one that runs, or use"
        " --registry-engine=embedded, which needs none",
    )


@contextmanager
def _translated(asked: str, kind: type[RegistryError], *, own: bool = False) -> Iterator[None]:
    try:
        yield
    except ENGINE_ERRORS as error:
        fail(asked, first_line(error), kind, _without_frames(error), own=own)


def _without_frames(error: Exception) -> Exception:
    """The error without the frames of docker-py and below, whose locals are headers with logins."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


def _raise_errors(
    lines: Iterable[Mapping[str, Any]], asked: str, kind: type[TransferError], *, own: bool
) -> None:
    for line in lines:
        if "error" in line or "errorDetail" in line:
            detail = line.get("errorDetail") or {}
            fail(asked, str(detail.get("message") or line.get("error")), kind, own=own)


class _Login(dict[str, str]):
    """A login as docker-py takes it, whose password does not show where locals are printed."""

    def __repr__(self) -> str:
        return f"<login of {self.get('username')}>"


def _auth(credentials: Credentials | None) -> dict[str, str] | None:
    if credentials is None:
        return None
    return _Login(username=credentials.username, password=credentials.password)


def _join(repository: str, tag: str | None) -> str:
    """One reference of docker-py's two arguments; a `tag` may be a digest."""
    return located(repository, tag) if tag else repository


def first_line(error: BaseException) -> str:
    """What docker-py's error says, less the lines after the first."""
    explanation = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return str(explanation).strip().splitlines()[0]
