"""Blobs: "Pulling blobs", "Checking if content exists in the registry", "Deleting Blobs"."""

from __future__ import annotations

from pytest_registry.oci.media_types import OCTET_STREAM
from pytest_registry.server.conditions import condition, unchanged
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.lookup import checked_digest, known_repository
from pytest_registry.server.ranges import requested_range
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response, content_headers
from pytest_registry.server.store.store import Store


def get(store: Store, request: Request) -> Response:
    """end-2. The whole blob, or a part of it."""
    digest, size = _find(store, request)
    if (response := unchanged(request, digest)) is not None:
        return response
    part = requested_range(request, size, f'"{digest}"')
    content = store.open(digest, size)
    if content is None:  # deleted since we looked, or on the disk
        raise ApiError(Code.BLOB_UNKNOWN, digest)
    headers = _headers(digest, size)
    if part is None:
        return Response(200, headers, content)
    headers["Content-Length"] = str(part.length)
    headers["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    return Response(206, headers, content.part(part.first, part.length))


def head(store: Store, request: Request) -> Response:
    """end-2. A Range is for GET only (RFC 9110, section 14.2).

    The disk is asked too: what is said to be there would never be pushed again.
    """
    digest, size = _find(store, request)
    if not store.has(digest, size):
        raise ApiError(Code.BLOB_UNKNOWN, digest)
    return unchanged(request, digest) or Response(200, _headers(digest, size))


def delete(store: Store, request: Request) -> Response:
    """end-10. The blob stays in the other repositories that hold it."""
    digest = checked_digest(request.reference)
    if not store.remove_blob(request.repository, digest, condition(request)):
        raise ApiError(Code.BLOB_UNKNOWN, digest[:200])
    return Response(202)


def _find(store: Store, request: Request) -> tuple[str, int]:
    digest = checked_digest(request.reference)
    size = known_repository(store, request.repository).blobs.get(digest)
    if size is None:
        raise ApiError(Code.BLOB_UNKNOWN, digest[:200])
    return digest, size


def _headers(digest: str, size: int) -> dict[str, str]:
    return {**content_headers(digest, size, OCTET_STREAM), "Accept-Ranges": "bytes"}
