"""OCI image layouts, a directory or a tar (image-spec, image-layout.md), as sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pytest_registry.errors import ImageNotFound, PullError
from pytest_registry.images.files import Files, read_document
from pytest_registry.images.layout_writer import INDEX_FILE, REF_NAME
from pytest_registry.images.source import SOUND, Flaws, Readable, missing
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import EVERY_MANIFEST, OCI_INDEX
from pytest_registry.oci.names import algorithm_of, digest_of

CONTAINERD_NAME = "io.containerd.image.name"
"""Where containerd, and docker since 25, keep the whole reference."""


@dataclass(frozen=True)
class LayoutImage:
    """One image of a layout: the one called `tag`, or the only one there is."""

    files: Files
    name: str
    tag: str | None = None
    flaws: ClassVar[Flaws] = SOUND

    def root(self) -> Manifest:
        """The manifest or index that the layout's index names; raises ImageNotFound, PullError."""
        return self._root

    def child(self, descriptor: Descriptor) -> Manifest:
        """A manifest by descriptor, compared with its digest; raises ImageNotFound, PullError."""
        try:
            content = read_document(self.files, _path(descriptor))
            return _checked(content, descriptor).known_by(descriptor.digest)
        except FileNotFoundError:
            raise missing(self.name, descriptor) from None
        except ValueError as error:
            raise PullError(
                f"read {descriptor.digest} of {self.name}", str(error), section="other-content"
            ) from None

    def open(self, descriptor: Descriptor) -> Readable:
        """A blob; whoever receives it compares it with the digest."""
        try:
            return self.files.open(_path(descriptor))
        except FileNotFoundError:
            raise missing(self.name, descriptor) from None

    def is_whole(self) -> bool:
        """Whether everything that the image names is there.

        docker's own archives hold the whole index but the content of one platform only.
        """
        return self._holds(self.root())

    @cached_property
    def _root(self) -> Manifest:
        return self.child(_choose(self._entries(), self.tag, self.name))

    def _entries(self) -> tuple[Descriptor, ...]:
        try:
            return Manifest.parse(read_document(self.files, INDEX_FILE), OCI_INDEX).manifests
        except (FileNotFoundError, ValueError) as error:
            happened = f"its {INDEX_FILE} cannot be read: {error}"
            raise ImageNotFound(f"read {self.name}", happened) from None

    def _holds(self, manifest: Manifest) -> bool:
        needed = manifest.sent_blobs
        if any(self.files.size(_path(each)) is None for each in needed):
            return False
        return all(
            self.files.size(_path(each)) is not None and self._holds(self.child(each))
            for each in manifest.children
        )


def names_of(entry: Descriptor) -> set[str]:
    """The names under which an entry of a layout's index is known: tag, whole reference."""
    annotations = entry.extra.get("annotations")
    if not isinstance(annotations, Mapping):
        return set()
    return {annotations[key] for key in (REF_NAME, CONTAINERD_NAME) if key in annotations}


def _choose(entries: tuple[Descriptor, ...], tag: str | None, name: str) -> Descriptor:
    found = {each.digest: each for each in entries if tag is None or tag in names_of(each)}
    if len(found) == 1:
        return next(iter(found.values()))
    listed = ", ".join(sorted(text for each in entries for text in names_of(each))) or "no names"
    asked = f"read the image {tag or ''} of {name}".replace("  ", " ")
    happened = "there is none" if not found else f"it holds {len(found)} images"
    raise ImageNotFound(
        asked, f"{happened}; its index lists {listed}", "name one with archived_image(path, tag)"
    )


def _checked(content: bytes, descriptor: Descriptor) -> Manifest:
    found = digest_of(content, algorithm_of(descriptor.digest))
    if found != descriptor.digest:
        raise ValueError(f"it holds other content: its digest is {found}")
    if descriptor.media_type not in EVERY_MANIFEST:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
        return Manifest.parse(content, document.get("mediaType", descriptor.media_type))
    return Manifest.parse(content, descriptor.media_type)


def _path(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.replace(':', '/', 1)}"
