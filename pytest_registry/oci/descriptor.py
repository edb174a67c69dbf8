"""Descriptors (OCI image-spec, descriptor.md)."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pytest_registry.oci.names import digest_of, is_any_digest

_NO_EXTRA: Mapping[str, Any] = {}


class Descriptor(NamedTuple):
    """The type, digest and size in bytes of a piece of content.

    `extra` keeps the members that this class does not name (`platform`, `annotations`, `data`,
    `artifactType`, `urls`, unknown ones), as they stood in the JSON.
    """

    media_type: str
    digest: str
    size: int
    extra: Mapping[str, Any] = _NO_EXTRA

    @classmethod
    def of(cls, content: bytes, media_type: str, **extra: Any) -> Self:
        """The descriptor of `content`."""
        return cls(media_type, digest_of(content), len(content), extra)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a descriptor from decoded JSON; raises ValueError where it is none."""
        if not isinstance(value, dict):
            raise ValueError(f"a descriptor is an object, not {type(value).__name__}")
        media_type, digest, size = (value.get(key) for key in ("mediaType", "digest", "size"))
        if not isinstance(media_type, str):
            raise ValueError("a descriptor needs a mediaType")
        if not isinstance(digest, str) or not is_any_digest(digest):
            raise ValueError(f"a descriptor needs a digest, not {digest!r}")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"a descriptor needs a size in bytes, not {size!r}")
        named = {"mediaType", "digest", "size"}
        return cls(media_type, digest, size, {k: v for k, v in value.items() if k not in named})

    @property
    def is_foreign(self) -> bool:
        """Whether a layer is to be had elsewhere and is not pushed (image-spec, layer.md)."""
        kind = self.media_type.lower()
        return bool(self.extra.get("urls")) and (
            ".foreign." in kind or ".nondistributable." in kind
        )

    def to_json(self) -> dict[str, Any]:
        """The descriptor as a JSON object."""
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
            **self.extra,
        }
