"""Uploads: "Pushing blobs", "Cancel a blob upload", "Mounting a blob from another repository"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pytest_registry.oci.names import DIGEST_LENGTHS, algorithm_of, is_digest, is_repository
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.lookup import computable_digest
from pytest_registry.server.ranges import Part, chunk_range, out_of_order
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.store import Store
from pytest_registry.server.store.uploads import Upload

_TURN_SECONDS = 2.0
"""How long a request waits for another one of the same session, which may have stalled."""


class Mount(NamedTuple):
    """A mount that is asked for. No `source`: of any repository that the account may pull."""

    digest: str
    source: str | None


def asked_mount(request: Request) -> Mount | None:
    """The mount that a request asks for: what is checked as a right, and what is then done.

    A source that is no repository's name holds nothing: that is no mount, but a plain upload.
    """
    digest = request.parameter("mount")
    if digest is None or (request.route, request.method) != ("upload", "POST"):
        return None
    source = request.parameter("from")
    return Mount(digest, source) if source is None or is_repository(source) else None


def start(store: Store, request: Request) -> Response:
    """end-4a, 4b, 4c and 11: open a session, or push or mount a blob at once."""
    if (mount := asked_mount(request)) is not None:
        return _mount(store, request, computable_digest(mount.digest), mount.source)
    digest = request.parameter("digest")
    if digest is not None:
        computable_digest(digest)
    upload = store.uploads.start(request.repository, _algorithm(request))
    if digest is None:
        return _session(request, upload, 202)
    try:
        return _finish(store, request, upload, digest)
    finally:
        store.uploads.end(upload)  # nobody was told of this session


def append(store: Store, request: Request) -> Response:
    """end-5: a chunk, or all there is in one stream."""
    upload = _find(store, request)
    with _alone_with(store, upload):
        chunk = _next_chunk(request, upload)
        upload.resumable = True
        _receive(store, request, upload, chunk)
        return _session(request, upload, 202)


def finish(store: Store, request: Request) -> Response:
    """end-6: close the session, with or without a last chunk."""
    upload = _find(store, request)
    digest = computable_digest(request.parameter("digest"))
    with _alone_with(store, upload):
        return _finish(store, request, upload, digest)


def status(store: Store, request: Request) -> Response:
    """end-13: how far the upload came."""
    return _session(request, _find(store, request), 204)


def cancel(store: Store, request: Request) -> Response:
    """end-14. At once, also under a request that still sends, or has stopped sending."""
    store.uploads.end(_find(store, request))
    return Response(204)


def _mount(store: Store, request: Request, digest: str, source: str | None) -> Response:
    may_pull = None if request.account is None else request.account.may_pull
    if store.mount(request.repository, digest, source, may_pull):
        return _created(request, digest)
    # "unable to mount the requested blob, it SHOULD return a 202": the client pushes it then.
    upload = store.uploads.start(request.repository, algorithm_of(digest))
    return _session(request, upload, 202)


def _finish(store: Store, request: Request, upload: Upload, digest: str) -> Response:
    chunk = _next_chunk(request, upload)
    upload.expect(digest)
    _receive(store, request, upload, chunk)
    try:
        if upload.digest(algorithm_of(digest)) != digest:
            raise ApiError(Code.DIGEST_INVALID, f"the {upload.size} bytes are not {digest}")
        with upload.life:
            _check_open(upload)
            store.add_upload(upload, digest)
    except FileNotFoundError:
        _check_open(upload)  # ended as it was about to be read again
        raise
    finally:
        store.uploads.end(upload)
    return _created(request, digest)


def _next_chunk(request: Request, upload: Upload) -> Part | None:
    """Where the chunk belongs; refuses one out of order before a byte of it is read."""
    chunk = chunk_range(request)
    if chunk is None:
        return None
    if chunk.first != upload.size:
        raise out_of_order(f"the next byte is {upload.size}, not {chunk.first}")
    if request.body.length is not None and request.body.length != chunk.length:
        raise ApiError(Code.SIZE_INVALID, "Content-Range and Content-Length differ")
    return chunk


def _receive(store: Store, request: Request, upload: Upload, chunk: Part | None) -> None:
    """Take in the body. What breaks off leaves nothing, unless its client may resume it."""
    try:
        upload.receive(request.body)
        _check_open(upload)
    except BaseException as error:
        if not (upload.resumable and isinstance(error, ApiError)):
            store.uploads.end(upload)
        raise
    if chunk is not None and upload.size != chunk.last + 1:
        store.uploads.end(upload)
        raise ApiError(Code.SIZE_INVALID, "the chunk is not as long as its Content-Range")


@contextmanager
def _alone_with(store: Store, upload: Upload) -> Iterator[None]:
    """One request at a time works on a session; the others wait for a moment, then are refused."""
    if not upload.turn.acquire(timeout=_TURN_SECONDS):
        raise ApiError(Code.BLOB_UPLOAD_INVALID, "another request sends to it", status=409)
    try:
        _check_open(upload)
        yield
    finally:
        if upload.ended:
            store.uploads.end(upload)
        upload.turn.release()


def _check_open(upload: Upload) -> None:
    if upload.ended:
        raise _unknown(upload.id)


def _find(store: Store, request: Request) -> Upload:
    upload = store.uploads.find(request.repository, request.reference)
    if upload is None:
        raise _unknown(request.reference)
    return upload


def _unknown(identity: str) -> ApiError:
    return ApiError(Code.BLOB_UPLOAD_UNKNOWN, identity[:200])


def _algorithm(request: Request) -> str:
    digest = request.parameter("digest")
    if digest is not None and is_digest(digest):
        return algorithm_of(digest)
    algorithm = request.parameter("digest-algorithm") or "sha256"
    if algorithm not in DIGEST_LENGTHS:
        raise ApiError(Code.DIGEST_INVALID, f"the algorithm {algorithm[:60]!r} is not supported")
    return algorithm


def _session(request: Request, upload: Upload, status: int) -> Response:
    # "0-0" also stands for nothing yet: the specification has no word for an empty range.
    headers = {
        "Location": f"{request.base_url}/v2/{upload.repository}/blobs/uploads/{upload.id}",
        "Range": f"0-{max(upload.size - 1, 0)}",
        "Docker-Upload-UUID": upload.id,
    }
    return Response(status, headers)


def _created(request: Request, digest: str) -> Response:
    location = f"{request.base_url}/v2/{request.repository}/blobs/{digest}"
    return Response(201, {"Location": location, "Docker-Content-Digest": digest})
