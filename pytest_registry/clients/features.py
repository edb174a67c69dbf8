"""Which of the specification's features a registry has: found by trying each one out."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from pytest_registry.clients import blobs, listing, manifests, referrers
from pytest_registry.clients.destination import RepositoryDestination
from pytest_registry.clients.session import Session
from pytest_registry.errors import (
    OptionError,
    ProtocolError,
    RateLimited,
    RegistryError,
    TransferError,
)
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.images.transfer import transfer

_AWAY = (
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)

FEATURES = ("delete", "tag-deletion", "catalog", "referrers", "mount")
"""Deletion of manifests by digest, of tags alone; the list of all repositories; the referrers API;
mounting a blob across repositories. In the order in which they are tried."""


def check_feature(name: str) -> str:
    """`name` itself if it is one of FEATURES; raises OptionError."""
    if name not in FEATURES:
        accepted = f"ask for {', '.join(FEATURES)}"
        raise OptionError(
            f"ask whether the registry supports {name!r}", "nobody knows it", accepted
        )
    return name


def missing_features(session: Session, repository: str, other: str) -> dict[str, str]:
    """The features that the registry lacks, each with what it said; `other` is a second repository.

    A small image is pushed there and, where that is possible, deleted again. Raises what pushing
    raises: AuthenticationFailed, RateLimited, TransferError.
    """
    image = synthetic_image()
    for tag in ("one", "other"):
        transfer(image, RepositoryDestination(session, repository, tag))
    digest = image.digest
    layer = image.manifest.layers[0].digest
    tries: dict[str, Callable[[], object]] = {
        "mount": lambda: _mount(session, other, layer, repository),
        "referrers": lambda: referrers.try_api(session, repository, digest),
        "catalog": lambda: listing.try_catalog(session),
        "tag-deletion": lambda: manifests.remove(session, repository, "other"),
        "delete": lambda: _delete(session, repository, digest),
    }
    found = {name: _problem(attempt) for name, attempt in tries.items()}
    return {name: found[name] for name in FEATURES if found[name]}


def _problem(attempt: Callable[[], object]) -> str:
    """Why it failed, in words; empty if it did not."""
    try:
        attempt()
    except RateLimited:
        raise
    except RegistryError as error:
        if _tells_nothing(error):
            raise
        return error.happened
    return ""


def _tells_nothing(error: RegistryError) -> bool:
    """Whether the registry did not get to answer, which says nothing of what it supports."""
    if not isinstance(error, TransferError):
        return False
    status = error.status if isinstance(error, ProtocolError) else None
    return status in _AWAY or (status is None and error.section == "transfer-failed")


def _mount(session: Session, repository: str, digest: str, from_repository: str) -> None:
    if not blobs.mount(session, repository, digest, from_repository, None):
        raise RegistryError("mount", "it wants the blob to be uploaded again", "")


def _delete(session: Session, repository: str, digest: str) -> None:
    manifests.remove(session, repository, digest)
    if manifests.head_manifest(session, repository, digest) is not None:
        raise RegistryError(
            "delete", f"it answered {HTTPStatus.ACCEPTED} and kept the manifest", ""
        )
