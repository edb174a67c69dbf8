"""Platforms of an index, and the choice of one (image-spec, image-index.md)."""

from __future__ import annotations

import platform as machine
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pytest_registry.errors import ImageNotFound, OptionError
from pytest_registry.images.source import Flaws, ImageSource, Readable
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest

_GOARCH = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "i386": "386",
    "i686": "386",
}


@dataclass(frozen=True, slots=True)
class Platform:
    """`os/architecture[/variant]`, in Go's words."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `linux/arm64/v8`; raises OptionError."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            remedy = "write OS/ARCHITECTURE[/VARIANT], as linux/amd64 or linux/arm/v7"
            raise OptionError("choose a platform", f"{text!r} is none", remedy)
        return cls(*parts)

    @classmethod
    def of_machine(cls) -> Platform:
        """What containers on this machine run as: Linux on its processor."""
        name = machine.machine().lower()
        return cls.parse(f"linux/{_GOARCH.get(name, name or 'amd64')}")

    @classmethod
    def of_descriptor(cls, descriptor: Descriptor) -> Platform | None:
        """The platform that an index gives for a manifest, None where it gives none."""
        value = descriptor.extra.get("platform")
        if not isinstance(value, Mapping):
            return None
        system, architecture = value.get("os"), value.get("architecture")
        if not isinstance(system, str) or not isinstance(architecture, str):
            return None
        variant = value.get("variant")
        return cls(system, architecture, variant if isinstance(variant, str) else None)

    def to_json(self) -> dict[str, Any]:
        """The `platform` member of an index's entry."""
        value = {"architecture": self.architecture, "os": self.os}
        return value if self.variant is None else {**value, "variant": self.variant}

    def matches(self, offered: Platform) -> bool:
        """Whether an image for `offered` is what this platform asks for.

        A variant that either side leaves out is not compared.
        """
        return (self.os, self.architecture) == (offered.os, offered.architecture) and (
            None in (self.variant, offered.variant) or self.variant == offered.variant
        )


@dataclass(frozen=True)
class OnePlatform:
    """Of an index the image for one platform; any other image, or a build cache, as it is."""

    source: ImageSource
    platform: Platform = field(default_factory=Platform.of_machine)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.source.name} ({self.platform})"

    @property
    def flaws(self) -> Flaws:
        """Those of the source."""
        return self.source.flaws

    def root(self) -> Manifest:
        """The chosen manifest; raises ImageNotFound where the index has none for the platform."""
        return self._root

    def child(self, descriptor: Descriptor) -> Manifest:
        """A manifest of the source."""
        return self.source.child(descriptor)

    def open(self, descriptor: Descriptor) -> Readable:
        """A blob of the source."""
        return self.source.open(descriptor)

    @cached_property
    def _root(self) -> Manifest:
        manifest = self.source.root()
        while manifest.is_index and not _is_cache(manifest):
            manifest = self.source.child(self._choose(manifest))
        return manifest

    def _choose(self, index: Manifest) -> Descriptor:
        offered = [(Platform.of_descriptor(each), each) for each in index.children]
        for platform, descriptor in offered:
            if platform is not None and self.platform.matches(platform):
                return descriptor
        if len(offered) == 1 and offered[0][0] is None:
            return offered[0][1]  # an index around one manifest that does not say more
        listed = ", ".join(str(platform) for platform, _ in offered if platform) or "no platform"
        raise ImageNotFound(
            f"choose {self.platform} of {self.source.name}",
            f"its index lists {listed}",
            "name one of these with platform=, or take all of them with all_platforms=True",
        )


def _is_cache(index: Manifest) -> bool:
    """Whether it lists nothing but blobs, as BuildKit's caches do: these have no platforms."""
    return bool(index.blobs) and not index.children
