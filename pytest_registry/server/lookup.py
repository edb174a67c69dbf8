"""What several nouns do first: find the repository, check a digest."""

from __future__ import annotations

from pytest_registry.oci.names import is_any_digest, is_digest
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.store.index import Repository
from pytest_registry.server.store.store import Store


def known_repository(store: Store, name: str) -> Repository:
    """The repository; "an attempt to pull a nonexistent repository MUST return 404"."""
    repository = store.repository(name)
    if repository is None:
        raise ApiError(Code.NAME_UNKNOWN, name)
    return repository


def checked_digest(text: str) -> str:
    """A digest to look for; what is none by the grammar is refused with 400.

    One of an algorithm that we do not compute is a digest all the same: nothing has it here.
    """
    if not is_any_digest(text):
        raise ApiError(Code.DIGEST_INVALID, f"{text[:200]!r} is no digest")
    return text


def computable_digest(text: str | None) -> str:
    """A digest to push by: of "an unsupported algorithm" it is refused with 400 too."""
    if text is None:
        raise ApiError(Code.DIGEST_INVALID, "a digest is needed")
    if not is_digest(text):
        raise ApiError(Code.DIGEST_INVALID, f"{text[:200]!r} is no sha256 or sha512 digest")
    return text
