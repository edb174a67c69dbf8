"""Image manifests and indexes (OCI image-spec, manifest.md and image-index.md)."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.media_types import INDEXES, MANIFESTS, is_manifest_type
from pytest_registry.oci.names import algorithm_of, digest_of


class Manifest(NamedTuple):
    """A manifest or index as it travels: its bytes, its media type, and what it refers to.

    `content` is kept to the byte: its digest is the image's name. `algorithm` is that of the digest
    by which it was asked for, is listed, or is known to its registry; sha256 where nobody said.
    """

    media_type: str
    content: bytes
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] | None = None
    algorithm: str = "sha256"

    @property
    def digest(self) -> str:
        """The digest of the content, by `algorithm`."""
        return digest_of(self.content, self.algorithm)

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests rather than layers."""
        return self.media_type in INDEXES

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """Of what an index lists, the manifests and indexes."""
        return tuple(each for each in self.manifests if is_manifest_type(each.media_type))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config, the layers, and the blobs that an index lists, as a build cache's does.

        They must be in the repository before the manifest, as its children must.
        """
        listed = (each for each in self.manifests if not is_manifest_type(each.media_type))
        return (*((self.config,) if self.config is not None else ()), *self.layers, *listed)

    @property
    def sent_blobs(self) -> tuple[Descriptor, ...]:
        """Those that are in a registry: not the layers that are to be had elsewhere."""
        return tuple(each for each in self.blobs if not each.is_foreign)

    @property
    def size(self) -> int:
        """Bytes of the manifest and of all blobs that it names (not of an index's children)."""
        return len(self.content) + sum(blob.size for blob in self.blobs)

    def describe(self) -> Descriptor:
        """The descriptor by which another manifest refers to this one."""
        return Descriptor(self.media_type, self.digest, len(self.content))

    def known_by(self, digest: str) -> Self:
        """The same, whose `digest` is of the algorithm of this one."""
        return self._replace(algorithm=algorithm_of(digest))

    @classmethod
    def parse(cls, content: bytes, media_type: str) -> Self:
        """Read a manifest or index; raises ValueError that says what is wrong.

        `media_type` is the Content-Type it came with. Media types that are neither manifest nor
        index are taken as they are: they refer to nothing that we know.
        """
        try:
            value = json.loads(content, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError("it is not a JSON object")
        declared = value.get("mediaType")
        if declared not in (None, "", media_type):
            raise ValueError(f"its mediaType is {declared!r} but it came as {media_type!r}")
        if media_type in MANIFESTS:
            return cls._image(content, media_type, value)
        if media_type in INDEXES:
            return cls._index(content, media_type, value)
        return cls(media_type, content)

    @classmethod
    def _image(cls, content: bytes, media_type: str, value: dict[str, Any]) -> Self:
        _refuse_both(value, "manifests")
        return cls(
            media_type,
            content,
            config=Descriptor.from_json(value.get("config")),
            layers=_descriptors(value, "layers"),
            **_common(value),
        )

    @classmethod
    def _index(cls, content: bytes, media_type: str, value: dict[str, Any]) -> Self:
        _refuse_both(value, "layers", "config")
        return cls(
            media_type, content, manifests=_descriptors(value, "manifests"), **_common(value)
        )


def _common(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("schemaVersion") != 2:  # noqa: PLR2004 - the only version of the specification
        raise ValueError(f"its schemaVersion is {value.get('schemaVersion')!r}, not 2")
    subject = value.get("subject")
    return {
        "subject": None if subject is None else Descriptor.from_json(subject),
        "artifact_type": _text(value, "artifactType"),
        "annotations": _annotations(value),
    }


def _refuse_both(value: dict[str, Any], *members: str) -> None:
    """What some would read as an image and others as an index (CVE-2021-41190)."""
    for member in members:
        if value.get(member):
            raise ValueError(f"it is image and index at once: it has {member}, too")


def _refuse(constant: str) -> None:
    """NaN and Infinity, which Python reads and JSON does not have (RFC 8259, section 6)."""
    raise ValueError(f"{constant} is no value")


def _descriptors(value: dict[str, Any], member: str) -> tuple[Descriptor, ...]:
    listed = value.get(member, "")
    if listed is None:
        return ()  # how Go writes an empty list that nobody made
    if not isinstance(listed, list):
        raise ValueError(f"it has no list of {member}")
    return tuple(Descriptor.from_json(each) for each in listed)


def _text(value: dict[str, Any], member: str) -> str | None:
    text = value.get(member)
    if text is not None and not isinstance(text, str):
        raise ValueError(f"its {member} is not a string")
    return text or None  # how Go writes a text that nobody set


def _annotations(value: dict[str, Any]) -> dict[str, str] | None:
    annotations = value.get("annotations")
    if annotations is None:
        return None
    if not isinstance(annotations, dict) or not all(
        isinstance(text, str | None) for text in annotations.values()
    ):
        raise ValueError("its annotations are not a map from string to string")
    # Null is a text that nobody set, to Go.
    return {name: text or "" for name, text in annotations.items()}
