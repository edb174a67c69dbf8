"""Manifests: "Pulling manifests", "Pushing Manifests", "Deleting Manifests", "Deleting tags"."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pytest_registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from pytest_registry.oci.names import algorithm_of, digest_of, is_digest, is_tag, looks_like_digest
from pytest_registry.server.body import read_all
from pytest_registry.server.conditions import condition, unchanged
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.lookup import checked_digest, computable_digest, known_repository
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response, content_headers
from pytest_registry.server.store.index import Repository, StoredManifest
from pytest_registry.server.store.store import Store

if TYPE_CHECKING:
    from pytest_registry.oci.manifest import Manifest

MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes. "Client and registry implementations SHOULD expect to be able to support manifest pushes
of at least 4 megabytes" ("Pushing Manifests")."""

_MEDIA_TYPE = re.compile(r"[!#$&^_.+0-9A-Za-z-]+/[!#$&^_.+0-9A-Za-z-]+")
_BYTE_ORDER_MARK = "\ufeff"


def get(store: Store, request: Request) -> Response:
    """end-3. The exact bytes that were pushed, with the type they were pushed as."""
    manifest = _find(store, request)
    if (response := unchanged(request, manifest.digest)) is not None:
        return response
    content = store.open(manifest.digest, manifest.size)
    if content is None:  # deleted since we looked, or on the disk
        raise ApiError(Code.MANIFEST_UNKNOWN, request.reference)
    return Response(200, _headers(manifest), content)


def head(store: Store, request: Request) -> Response:
    """end-3. Answered from the index, which most requests ask: no file is looked for.

    One that somebody deleted or damaged is there until it is first to be read, and missing then.
    """
    manifest = _find(store, request)
    return unchanged(request, manifest.digest) or Response(200, _headers(manifest))


def put(store: Store, request: Request) -> Response:
    """end-7a and 7b: push a manifest by tag, or by digest with any number of tags."""
    _check_reference(request.reference)
    tags = _tags(request)
    content = read_all(request.body, MANIFEST_LIMIT)
    if content is None:
        raise ApiError(Code.MANIFEST_INVALID, f"more than {MANIFEST_LIMIT} bytes", status=413)
    digest = _digest(request.reference, content)
    manifest = _parse(request, content)
    _check_contents(store.repository(request.repository), manifest)
    stored = _stored(manifest, digest)
    name, reference = request.repository, request.reference
    store.add_manifest(name, reference, stored, content, tags, condition=condition(request))
    return Response(201, _created(request, manifest, digest, tags))


def delete(store: Store, request: Request) -> Response:
    """end-9: a tag only, or a manifest with every tag that points to it."""
    name, reference = request.repository, request.reference
    known_repository(store, name)
    if looks_like_digest(reference):
        removed = store.remove_manifest(name, checked_digest(reference), condition(request))
    else:
        removed = store.remove_tag(name, reference, condition(request))
    if not removed:
        raise ApiError(Code.MANIFEST_UNKNOWN, reference[:200])
    return Response(202)


def _find(store: Store, request: Request) -> StoredManifest:
    reference = request.reference
    if looks_like_digest(reference):
        checked_digest(reference)
    manifest = known_repository(store, request.repository).find(reference)
    if manifest is None:
        raise ApiError(Code.MANIFEST_UNKNOWN, reference[:200])
    return manifest


def _headers(manifest: StoredManifest) -> dict[str, str]:
    return content_headers(manifest.digest, manifest.size, manifest.media_type)


def _check_reference(reference: str) -> None:
    if looks_like_digest(reference):
        computable_digest(reference)
    elif not is_tag(reference):
        raise ApiError(Code.MANIFEST_INVALID, f"{reference[:200]!r} is no tag")


def _tags(request: Request) -> list[str]:
    if not looks_like_digest(request.reference):
        return [request.reference]
    tags = request.parameters("tag")
    for tag in tags:
        if not is_tag(tag):
            raise ApiError(Code.MANIFEST_INVALID, f"{tag[:200]!r} is no tag")
    return list(dict.fromkeys(tags))


def _digest(reference: str, content: bytes) -> str:
    if not is_digest(reference):
        return digest_of(content)
    digest = digest_of(content, algorithm_of(reference))
    if digest != reference:
        raise ApiError(Code.DIGEST_INVALID, f"the content is {digest}")
    return digest


def _parse(request: Request, content: bytes) -> Manifest:
    _check_encoding(content)
    # "The registry SHOULD ignore parameters on the Content-Type header."
    media_type = (request.header("content-type") or "").partition(";")[0].strip()
    media_type = media_type or _guessed_type(content)
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ApiError(Code.MANIFEST_INVALID, f"{media_type[:200]!r} is no media type")
    try:
        return _read(content, media_type)
    except (ValueError, RecursionError) as error:
        raise ApiError(Code.MANIFEST_INVALID, str(error)[:500]) from None


def _check_encoding(content: bytes) -> None:
    """JSON is UTF-8 without a byte order mark (RFC 8259, section 8.1); Python reads UTF-16 too."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ApiError(Code.MANIFEST_INVALID, "it is not UTF-8") from None
    if text.startswith(_BYTE_ORDER_MARK) or "\0" in text:  # every other byte, in UTF-16
        raise ApiError(Code.MANIFEST_INVALID, "it is not plain UTF-8")


def _read(content: bytes, media_type: str) -> Manifest:
    """The manifest; its media type is compared in lower case (RFC 6838, section 4.2), and kept."""
    from pytest_registry.oci.manifest import Manifest  # 1 ms that a start can do without

    plain = media_type.lower()
    try:
        manifest = Manifest.parse(content, plain)
    except ValueError:
        value = _members(content)
        if (declared := _declared_type(value)) == plain or declared.lower() != plain:
            raise
        manifest = Manifest.parse(json.dumps({**value, "mediaType": plain}).encode(), plain)
    return manifest._replace(content=content, media_type=media_type)


def _guessed_type(content: bytes) -> str:
    """The type of a manifest that came without Content-Type: its own word, else by its members."""
    value = _members(content)
    return _declared_type(value) or (OCI_INDEX if "manifests" in value else OCI_MANIFEST)


def _declared_type(value: dict[str, Any]) -> str:
    """What a manifest says of itself, empty if it does not."""
    declared = value.get("mediaType")
    return declared if isinstance(declared, str) else ""


def _members(content: bytes) -> dict[str, Any]:
    """The members of a JSON object, none if it is not one."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _check_contents(repository: Repository | None, manifest: Manifest) -> None:
    """Refuse a manifest whose parts are not in the repository ("Push"); its subject need not be."""
    holding = repository or Repository()
    # An index may list blobs too: BuildKit's caches do. An image is of blobs only.
    homes = (holding.manifests, holding.blobs) if manifest.manifests else (holding.blobs,)
    needed = [each.digest for each in manifest.manifests or manifest.sent_blobs]
    missing = [each for each in needed if not any(each in home for home in homes)]
    if missing:
        raise ApiError(Code.MANIFEST_BLOB_UNKNOWN, *dict.fromkeys(missing))


def _stored(manifest: Manifest, digest: str) -> StoredManifest:
    if manifest.subject is None:
        return StoredManifest(digest, manifest.media_type, len(manifest.content))
    # "If the artifactType is empty or missing in the image manifest, the value of artifactType MUST
    # be set to the config descriptor mediaType value"; an index has no config, and none is shown.
    config_type = manifest.config.media_type if manifest.config is not None else None
    return StoredManifest(
        digest,
        manifest.media_type,
        len(manifest.content),
        manifest.subject.digest,
        manifest.artifact_type or config_type,
        manifest.annotations,
    )


def _created(request: Request, manifest: Manifest, digest: str, tags: list[str]) -> dict[str, str]:
    headers = {
        "Location": f"{request.base_url}/v2/{request.repository}/manifests/{digest}",
        "Docker-Content-Digest": digest,
    }
    if manifest.subject is not None:
        headers["OCI-Subject"] = manifest.subject.digest
    if tags and looks_like_digest(request.reference):
        headers["OCI-Tag"] = ", ".join(tags)
    return headers
