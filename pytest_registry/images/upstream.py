"""Images of a registry, read through any client that has `manifest` and `blob`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

from pytest_registry.images.source import SOUND, Flaws, Readable
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.reference import located


class RegistryReader(Protocol):
    """What reading an image takes; `clients.oci.OciClient` has it."""

    @property
    def host(self) -> str:
        """The registry's host and port."""

    def manifest(self, repository: str, target: str) -> Manifest:
        """A manifest by tag or digest, verified; raises ImageNotFound, TransferError."""

    def blob(self, repository: str, digest: str, *, size: int | None = None) -> Readable:
        """A blob, verified while it is read; raises ImageNotFound, TransferError."""


@dataclass(frozen=True)
class RegistryImage:
    """An image of a registry: `target` is a tag or digest."""

    reader: RegistryReader
    repository: str
    target: str
    flaws: ClassVar[Flaws] = SOUND

    @property
    def name(self) -> str:
        """What messages call it."""
        return located(f"{self.reader.host}/{self.repository}", self.target)

    def root(self) -> Manifest:
        """The manifest or index, asked for once."""
        return self._root

    def child(self, descriptor: Descriptor) -> Manifest:
        """A manifest of the index, verified."""
        return self.reader.manifest(self.repository, descriptor.digest)

    def open(self, descriptor: Descriptor) -> Readable:
        """A blob, verified while it is read."""
        return self.reader.blob(self.repository, descriptor.digest, size=descriptor.size)

    @cached_property
    def _root(self) -> Manifest:
        return self.reader.manifest(self.repository, self.target)
