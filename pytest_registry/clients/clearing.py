"""Emptying a repository with nothing but the specification's requests."""

from __future__ import annotations

from http import HTTPStatus

from pytest_registry.clients import listing, manifests, referrers
from pytest_registry.clients.session import Session
from pytest_registry.errors import (
    AuthenticationFailed,
    ImageNotFound,
    ProtocolError,
    RegistryError,
)

REFUSALS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.CONFLICT,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""Statuses with which registries say that they do not delete, or not this."""


def clear(session: Session, repository: str) -> list[str]:
    """Delete every manifest that a tag leads to; returns what is left, as references.

    Manifests go by digest, with what an index lists and what refers to them; where a registry
    deletes no digests, its tags are tried. What no tag leads to cannot be found by anybody, and
    blobs are the registry's own to collect. A repository that does not exist is empty.
    """
    try:
        tags = listing.list_tags(session, repository, None)
    except ImageNotFound:
        return []
    digests: dict[str, None] = {}
    for tag in tags:
        _collect(session, repository, tag, digests)
    for digest in digests:
        _delete(session, repository, digest)
    left = [tag for tag in tags if manifests.head_manifest(session, repository, tag) is not None]
    for tag in left:
        _delete(session, repository, tag)
    return [
        manifests.reference(session, repository, tag)
        for tag in left
        if manifests.head_manifest(session, repository, tag) is not None
    ]


def _collect(session: Session, repository: str, target: str, digests: dict[str, None]) -> None:
    """Add the digests of a manifest, of its children and of its referrers, parents first."""
    try:
        manifest = manifests.get_manifest(session, repository, target)
    except ImageNotFound:
        return
    if manifest.digest in digests:
        return
    digests[manifest.digest] = None
    for child in manifest.children:  # asked for a blob as a manifest, distribution answers 500
        _collect(session, repository, child.digest, digests)
    try:
        about = referrers.list_referrers(session, repository, manifest.digest, None)
    except RegistryError:
        return  # it has no such list, or not for this account: then there is nothing to follow
    for referrer in about:
        _collect(session, repository, referrer.digest, digests)


def _delete(session: Session, repository: str, target: str) -> None:
    """Delete by digest or tag; that it is gone, or cannot be deleted here, is no error."""
    try:
        manifests.remove(session, repository, target)
    except (ImageNotFound, AuthenticationFailed):
        return
    except ProtocolError as error:
        if error.status not in REFUSALS:
            raise
