"""What can be pushed: anything that hands out manifests and blobs by descriptor."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

from pytest_registry.errors import ImageNotFound, OptionError
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest

BLOCK = 1 << 20
"""Bytes that are read at once."""


class Readable(Protocol):
    """A stream of bytes that is read once."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""

    def close(self) -> None:
        """Give back what the stream holds open."""


@dataclass(frozen=True, slots=True)
class Flaws:
    """What a push does on purpose otherwise than the manifest says, for negative tests.

    `unsent`: digests of blobs that are never uploaded. `unchecked`: blobs are sent as they are,
    even where their size is not the descriptor's.
    """

    unsent: frozenset[str] = frozenset()
    unchecked: bool = False


SOUND = Flaws()
"""The flaws of a sound image: none."""


class ImageSource(Protocol):
    """An image, index or artifact that can be pushed. Methods may be called by several threads."""

    @property
    def name(self) -> str:
        """What messages call it; of a made image, one that a repository may have."""

    @property
    def flaws(self) -> Flaws:
        """`SOUND`, but for images that were broken on purpose."""

    def root(self) -> Manifest:
        """The manifest or index that is the image; raises ImageNotFound, TransferError."""

    def child(self, descriptor: Descriptor) -> Manifest:
        """A manifest that an index of this image lists, known by the digest that is listed.

        Raises ImageNotFound, TransferError.
        """

    def open(self, descriptor: Descriptor) -> Readable:
        """A config, layer or other blob of this image, from its start.

        Raises ImageNotFound, TransferError.
        """


def check_image(value: object) -> None:
    """Raise OptionError for what is no image that can be pushed, such as one of a registry."""
    if not all(hasattr(value, each) for each in ("name", "flaws", "root", "child", "open")):
        raise OptionError(
            f"push {value!r:.300}",
            "it is no image that can be pushed",
            "give synthetic_image(...) or archived_image(Path(...)), and registry.push also a name"
            " or a pathlib.Path; what a registry holds is copied: registry.copy(image, registry,"
            " REPOSITORY)",
        )


@dataclass(frozen=True, repr=False)
class StoredImage:
    """An image whose manifests are at hand and whose blobs are opened by digest."""

    name: str
    manifest: Manifest
    children: dict[str, Manifest]
    blobs: dict[str, Callable[[], Readable]]
    flaws: Flaws = SOUND

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.manifest.digest}>"

    def root(self) -> Manifest:
        """The manifest or index that is the image."""
        return self.manifest

    def child(self, descriptor: Descriptor) -> Manifest:
        """A manifest of the index; raises ImageNotFound."""
        try:
            return self.children[descriptor.digest].known_by(descriptor.digest)
        except KeyError:
            raise missing(self.name, descriptor) from None

    def open(self, descriptor: Descriptor) -> Readable:
        """A blob from its start; raises ImageNotFound."""
        try:
            return self.blobs[descriptor.digest]()
        except KeyError:
            raise missing(self.name, descriptor) from None


def missing(name: str, descriptor: Descriptor) -> ImageNotFound:
    """The error where a source lacks what its own manifest names."""
    return ImageNotFound(
        f"read {descriptor.digest} of {name}",
        "the image names it but does not hold it",
        "take a whole image; of an index that lists what was never stored, choose a platform",
    )


class BlockReader:
    """A stream made of an iterable of blocks."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, all that is left for -1; b"" at the end."""
        if size < 0:
            whole = b"".join((self._rest, *self._blocks))
            self._rest = memoryview(b"")
            return whole
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._rest = memoryview(block)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def close(self) -> None:
        """Stop the iterable."""
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()


def in_memory(content: bytes) -> Callable[[], Readable]:
    """An opener of bytes."""
    return lambda: cast("Readable", io.BytesIO(content))


def blocks_of(stream: Readable) -> Iterator[bytes]:
    """The stream's bytes in blocks of up to `BLOCK`; the stream is closed at the end."""
    try:
        while block := stream.read(BLOCK):
            yield block
    finally:
        stream.close()
