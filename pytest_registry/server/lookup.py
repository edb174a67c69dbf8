"""What several nouns do first: find the repository, check a digest."""

from __future__ import annotations

from pytest_registry.oci.names import is_digest
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.index import Repository
from pytest_registry.server.store.store import Store


def known_repository(store: Store, name: str) -> Repository:
    """The repository; "an attempt to pull a nonexistent repository MUST return 404"."""
    repository = store.repository(name)
    if repository is None:
        raise ApiError(Code.NAME_UNKNOWN, name)
    return repository


def checked_digest(text: str | None) -> str:
    """A digest of an algorithm that we take; anything else is refused with 400."""
    if text is None:
        raise ApiError(Code.DIGEST_INVALID, "a digest is needed")
    if not is_digest(text):
        raise ApiError(Code.DIGEST_INVALID, f"{text[:200]!r} is no sha256 or sha512 digest")
    return text


def unchanged(request: Request, digest: str) -> Response | None:
    """304 if the client says that it has this content already (RFC 9110, section 13.1.2)."""
    known = request.header("if-none-match")
    if known is None or (known.strip() != "*" and f'"{digest}"' not in known):
        return None
    return Response(304, {"ETag": f'"{digest}"', "Docker-Content-Digest": digest})
