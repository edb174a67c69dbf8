"""An image in the run's registry, as tests see it."""

from __future__ import annotations

from dataclasses import dataclass

STAND_IN = "pytest-registry.stand-in"
"""The annotation of a made-up image's manifest that says why it is not the one asked for."""


@dataclass(frozen=True, slots=True)
class Image:
    """A pushed or pulled image.

    `reference` is what a client is told (`HOST/REPOSITORY:TAG`); in a registry that others use too
    the run's own prefix stands between host and repository. An image that was asked for by its
    digest has no `tag`, and its reference is `HOST/REPOSITORY@DIGEST`. `digest` is the registry's
    own, and `size` the bytes of its manifests, configs and layers. `synthetic` says why it is not
    the image that was asked for but one that was made up; it is empty for every real image.
    """

    reference: str
    repository: str
    tag: str
    digest: str
    size: int
    synthetic: str = ""

    @property
    def target(self) -> str:
        """What it was asked for by: the tag, or the digest."""
        return self.tag or self.digest

    @property
    def pinned(self) -> str:
        """The reference by digest, which no later push can change."""
        if not self.tag:
            return self.reference
        return f"{self.reference.rpartition(':')[0]}@{self.digest}"
