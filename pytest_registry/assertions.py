"""Assertions about a registry that say, where they fail, what is there instead."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pytest_registry.contents import Contents, named
from pytest_registry.errors import AuthenticationFailed, ProtocolError
from pytest_registry.images.image import Image
from pytest_registry.oci.reference import located

if TYPE_CHECKING:
    from pytest_registry.oci.manifest import Manifest

SHOWN = 20
"""Names that a message lists."""


class Assertions(Contents):
    """What tests claim of a registry's content; each raises AssertionError where it is not so."""

    def assert_exists(self, repository: Image | str, target: str | None = None) -> None:
        """The registry holds this tag or digest; else the tags, or the repositories, that it has.

        `registry.assert_exists("samples/nginx", "1.0")`, `registry.assert_exists(image)`.
        """
        __tracebackhide__ = True
        repository, target = named(repository, target)
        if not self.exists(repository, target):
            raise AssertionError(
                f"{self.host} does not hold {located(repository, target)};"
                f" {self._what_is_there(repository)}"
            )

    def assert_missing(self, repository: Image | str, target: str | None = None) -> None:
        """The registry does not hold this tag or digest."""
        __tracebackhide__ = True
        repository, target = named(repository, target)
        if self.exists(repository, target):
            digest = self.manifest(repository, target).digest
            raise AssertionError(
                f"{self.host} holds {located(repository, target)}, which is {digest};"
                f" {self._what_is_there(repository)}"
            )

    def assert_tags(self, repository: Image | str, *expected: str) -> None:
        """The repository has these tags and no others: `registry.assert_tags("a", "1", "2")`."""
        __tracebackhide__ = True
        repository, _ = named(repository)
        found, wanted = set(self.tags(repository)), set(expected)
        if found != wanted:
            raise AssertionError(
                f"the tags of {repository} are {_listed(found)}, not {_listed(wanted)}:"
                f" missing {_listed(wanted - found)}, unexpected {_listed(found - wanted)}"
            )

    def assert_same(self, one: Image | str, other: Image | str) -> None:
        """Two images are the same to the byte; else where they differ.

        Each is an image, or `REPOSITORY:TAG` or `REPOSITORY@DIGEST` in this registry.
        """
        __tracebackhide__ = True
        first, second = self._manifest_of(one), self._manifest_of(other)
        if first.content != second.content:  # the digests may be of two algorithms
            lines = [f"{_shown(one)} is {first.digest}", f"{_shown(other)} is {second.digest}"]
            raise AssertionError("\n".join([*lines, *_differences(first, second)]))

    def assert_referred(
        self,
        repository: Image | str,
        target: str | None = None,
        artifact_type: str | None = None,
    ) -> None:
        """Something (of this artifact type) refers to the tag or digest: a signature, an SBOM."""
        __tracebackhide__ = True
        repository, target = named(repository, target)
        digest = self.manifest(repository, target).digest
        found = self.referrers(repository, digest)
        kinds = [str(each.extra.get("artifactType") or each.media_type) for each in found]
        if not kinds or artifact_type not in (None, *kinds):
            wanted = f"of type {artifact_type} " if artifact_type else ""
            raise AssertionError(
                f"nothing {wanted}refers to {located(repository, target)}, which is {digest};"
                f" the types of what does: {_listed(kinds)}"
            )

    def _manifest_of(self, image: Image | str) -> Manifest:
        if isinstance(image, Image):
            return self.manifest(image.repository, image.digest)
        repository, at, digest = image.partition("@")
        if at:
            return self.manifest(repository, digest)
        repository, _, tag = image.partition(":")
        return self.manifest(repository, tag or "latest")

    def _what_is_there(self, repository: str) -> str:
        tags = self.tags(repository)
        if tags:
            return f"the tags of {repository} are {_listed(tags)}"
        try:
            names = self.repositories()
        except (AuthenticationFailed, ProtocolError):  # some registries have no catalog
            return f"{repository} has no tags"
        close = get_close_matches(repository, names)
        meant = f"; did you mean {close[0]}?" if close else ""
        return f"{repository} has no tags, the repositories are {_listed(names)}{meant}"


def _differences(first: Manifest, second: Manifest) -> list[str]:
    """Where two manifests differ, in lines."""
    lines = []
    if first.media_type != second.media_type:
        lines.append(f"media types: {first.media_type}, {second.media_type}")
    for word, ours, theirs in (
        ("config and layers", first.blobs, second.blobs),
        ("manifests", first.manifests, second.manifests),
    ):
        one, two = [each.digest for each in ours], [each.digest for each in theirs]
        if one != two:
            lines.append(f"{word} of the first only: {_listed(set(one) - set(two))}")
            lines.append(f"{word} of the second only: {_listed(set(two) - set(one))}")
    return lines or ["all that they list is the same; other members or the order of bytes differ"]


def _shown(image: Image | str) -> str:
    return image.reference if isinstance(image, Image) else image


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names)
    if not listed:
        return "none"
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
