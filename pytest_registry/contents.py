"""A registry as it is reached, read and deleted from: all of the handle but its pushes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import ImageNotFound, RegistryEnded, RegistryError
from pytest_registry.images.image import STAND_IN, Image
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import Operation
from pytest_registry.oci.names import is_digest
from pytest_registry.oci.namespace import Namespace
from pytest_registry.oci.reference import Reference, check_repository, check_target, located
from pytest_registry.security.credentials import Credentials

if TYPE_CHECKING:
    from pytest_registry.clients.oci import OciClient
    from pytest_registry.images.source import ImageSource
    from pytest_registry.oci.descriptor import Descriptor
    from pytest_registry.oci.manifest import Manifest

FindEnd = Callable[[str], RegistryEnded | None]
"""Tells whether an operation failed because the registry ended: the error that says so, or None."""


class Contents:
    """Where a registry is and what it holds: repositories, tags, manifests, blobs.

    Every operation raises RegistryEnded where it failed because the registry is gone. Where a
    repository is taken, so is an `Image` of it, which then names its tag as well; without either
    the tag is `latest`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        find_end: FindEnd,
        note_repository: Callable[[str], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._namespace = Namespace(endpoint.prefix, note_repository)
        self._find_end = find_end
        self.limits = limits
        """How many pulls and pushes may run at once: `with registry.limits.pull(): ...`."""

    def __repr__(self) -> str:
        return f"<Registry {self.url} ({self._endpoint.detail})>"

    @property
    def url(self) -> str:
        """The registry's root, such as `http://127.0.0.1:32768`."""
        return self._endpoint.url

    @property
    def host(self) -> str:
        """Host and port, as they stand in a reference."""
        return self._endpoint.host

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self._endpoint.scheme

    @property
    def ca_file(self) -> Path | None:
        """The certificate authority to trust, None for plain HTTP."""
        return self._endpoint.ca_path

    @property
    def credentials(self) -> Credentials:
        """The account: `username` and `password`."""
        return self._endpoint.credentials

    @property
    def engine(self) -> str:
        """What serves the registry: `container`, `embedded` or `external`."""
        return self._endpoint.engine

    @property
    def endpoint(self) -> Endpoint:
        """How the registry is reached, and why it is served as it is."""
        return self._endpoint

    def reference(self, repository: Image | str, tag: str | None = None) -> str:
        """`HOST/REPOSITORY:TAG` for clients of this machine, or `HOST/REPOSITORY@DIGEST`.

        In a registry that others use too, the run's own prefix stands before the repository.
        Raises InvalidReference.
        """
        repository, target = named(repository, tag)
        return located(f"{self.host}/{self._namespace.full(repository)}", target)

    def daemon_reference(self, repository: Image | str, tag: str | None = None) -> str:
        """The same for the container engine's daemon, which may be on another machine.

        That is what docker commands and docker-py take; it is `reference()` where the daemon is
        on this machine. Raises InvalidReference.
        """
        repository, target = named(repository, tag)
        return located(f"{self._endpoint.daemon_host}/{self._namespace.full(repository)}", target)

    @cached_property
    def client(self) -> OciClient:
        """A client for the registry over HTTP, logged in, that needs no container engine."""
        from pytest_registry.clients.oci import OciClient

        return OciClient(
            self.url,
            self.credentials if self.credentials.username else None,
            ca_file=self.ca_file,
            client_cert=self._endpoint.client_paths,
            limits=CurrentLimits(self),
            namespace=self._namespace,
        )

    def image(self, repository: Image | str, tag: str | None = None) -> Image:
        """An image that the registry holds, by tag or digest; raises ImageNotFound."""
        repository, target = named(repository, tag)
        reference = self.reference(repository, target)
        with self._explained(f"look at {reference}"):
            manifest = self.client.manifest(repository, target)
            return Image(
                reference,
                repository,
                "" if is_digest(target) else target,
                manifest.digest,
                self._size(repository, manifest),
                synthetic=(manifest.annotations or {}).get(STAND_IN, ""),
            )

    def repositories(self) -> list[str]:
        """Every repository, sorted."""
        with self._explained("list the repositories"):
            return self.client.repositories()

    def tags(self, repository: Image | str) -> list[str]:
        """A repository's tags, sorted; none where there is no such repository."""
        repository, _ = named(repository)
        with self._explained(f"list the tags of {repository}"):
            try:
                return self.client.tags(repository)
            except ImageNotFound:
                return []

    def manifest(self, repository: Image | str, target: str | None = None) -> Manifest:
        """A manifest or index by tag or digest; raises ImageNotFound."""
        repository, target = named(repository, target)
        with self._explained(f"read the manifest of {repository} {target}"):
            return self.client.manifest(repository, target)

    def blob(self, repository: Image | str, digest: str) -> bytes:
        """A blob's content, verified; raises ImageNotFound."""
        repository, digest = named(repository, digest)
        with (
            self._explained(f"read the blob {digest} of {repository}"),
            self.client.blob(repository, digest) as stream,
        ):
            return stream.read()

    def exists(self, repository: Image | str, target: str | None = None) -> bool:
        """Whether the registry holds this tag or digest."""
        repository, target = named(repository, target)
        with self._explained(f"look for {repository} {target}"):
            return self.client.exists(repository, target)

    def delete(self, repository: Image | str, target: str | None = None) -> None:
        """Delete the manifest behind a tag or digest, with all its tags; raises ImageNotFound."""
        repository, target = named(repository, target)
        with self._explained(f"delete {repository} {target}"):
            digest = self.client.manifest(repository, target).digest
            self.client.delete_manifest(repository, digest)

    def referrers(
        self, repository: Image | str, digest: str, artifact_type: str | None = None
    ) -> tuple[Descriptor, ...]:
        """What refers to a manifest (signatures, SBOMs), filtered by type where one is given."""
        repository, digest = named(repository, digest)
        with self._explained(f"list what refers to {digest} in {repository}"):
            return self.client.referrers(repository, digest, artifact_type)

    @contextlib.contextmanager
    def _explained(self, asked: str) -> Iterator[None]:
        """Say that the registry ended, where that is why an operation failed."""
        try:
            yield
        except RegistryError as error:
            if not isinstance(error, RegistryEnded) and (end := self._find_end(asked)):
                raise end from error
            raise

    def _size(self, repository: str, manifest: Manifest) -> int:
        below = sum(
            self._size(repository, self.client.manifest(repository, each.digest))
            for each in manifest.children
        )
        return manifest.size + below


def named(image: Image | str, target: str | None = None) -> tuple[str, str]:
    """The repository, and the tag or digest in it, of what tests give; raises InvalidReference."""
    if isinstance(image, Image):
        return image.repository, check_target(image.target if target is None else target)
    return check_repository(image), check_target("latest" if target is None else target)


class CurrentLimits:
    """The limits that a registry has at the moment, for clients that outlive a narrowing."""

    def __init__(self, registry: Contents) -> None:
        self._registry = registry

    def pull(
        self, repository: str = "", *, reference: str = ""
    ) -> contextlib.AbstractContextManager[Operation]:
        """Hold a pull slot; raises SlotTimeout."""
        return self._registry.limits.pull(repository, reference=reference)

    def push(
        self, repository: str = "", *, reference: str = ""
    ) -> contextlib.AbstractContextManager[Operation]:
        """Hold a push slot; raises SlotTimeout."""
        return self._registry.limits.push(repository, reference=reference)


def repository_of(source: str | Path | ImageSource) -> str:
    """The repository for a source that is pushed without one: its own name, less the registry."""
    from pytest_registry.images.sources import check_source, hinting_at_paths

    check_source(source)
    if isinstance(source, str):
        with hinting_at_paths(source):
            return Reference.parse(source).repository.removeprefix("library/")
    name = source.stem if isinstance(source, Path) else source.name
    return check_repository(name.lower())
