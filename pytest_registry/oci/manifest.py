"""Image manifests and indexes (OCI image-spec, manifest.md and image-index.md)."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.media_types import INDEXES, MANIFESTS
from pytest_registry.oci.names import digest_of


class Manifest(NamedTuple):
    """A manifest or index as it travels: its bytes, its media type, and what it refers to.

    `content` is kept to the byte: its digest is the image's name.
    """

    media_type: str
    content: bytes
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] | None = None

    @property
    def digest(self) -> str:
        """The sha256 digest of the content."""
        return digest_of(self.content)

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests rather than layers."""
        return self.media_type in INDEXES

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and the layers: what must be in the repository before the manifest."""
        return ((self.config,) if self.config is not None else ()) + self.layers

    @property
    def size(self) -> int:
        """Bytes of the manifest and of all blobs that it names (not of an index's manifests)."""
        return len(self.content) + sum(blob.size for blob in self.blobs)

    def describe(self) -> Descriptor:
        """The descriptor by which another manifest refers to this one."""
        return Descriptor(self.media_type, self.digest, len(self.content))

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
        return cls(
            media_type,
            content,
            config=Descriptor.from_json(value.get("config")),
            layers=_descriptors(value, "layers"),
            **_common(value),
        )

    @classmethod
    def _index(cls, content: bytes, media_type: str, value: dict[str, Any]) -> Self:
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
        isinstance(text, str) for text in annotations.values()
    ):
        raise ValueError("its annotations are not a map from string to string")
    return annotations
