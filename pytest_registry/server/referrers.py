"""Referrers: "Listing Referrers"."""

from __future__ import annotations

import json
from typing import Any

from pytest_registry.oci.media_types import OCI_INDEX
from pytest_registry.server.lookup import checked_digest
from pytest_registry.server.manifests import MANIFEST_LIMIT
from pytest_registry.server.paging import link
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.index import StoredManifest
from pytest_registry.server.store.store import Store


def list_referrers(store: Store, request: Request) -> Response:
    """end-12a and 12b. Never 404: an unknown subject has no referrers."""
    digest = checked_digest(request.reference)
    repository = store.repository(request.repository)
    found = [] if repository is None else store.referrers(repository, digest)
    wanted = request.parameter("artifactType")
    headers = {"Content-Type": OCI_INDEX}
    if wanted:
        # Media types have no case (RFC 6838, section 4.2).
        found = [each for each in found if (each.artifact_type or "").lower() == wanted.lower()]
        headers["OCI-Filters-Applied"] = "artifactType"
    listed, rest = _page(found, request.parameter("last"))
    if rest:
        headers |= link(request, _next_query(wanted, rest))
    head = f'{{"schemaVersion": 2, "mediaType": "{OCI_INDEX}", "manifests": ['.encode()
    return Response(200, headers, head + b", ".join(listed) + b"]}")


def _page(found: list[StoredManifest], last: str | None) -> tuple[list[bytes], str]:
    """As many descriptors as fit into a manifest of the size that clients take.

    And the last one's digest if there are more, empty otherwise.
    """
    listed: list[bytes] = []
    room, before = MANIFEST_LIMIT - 1024, ""
    for each in found:
        if last is not None and each.digest <= last:
            continue
        descriptor = _json(_descriptor(each))
        room -= len(descriptor) + 2
        if room < 0 and listed:
            return listed, before
        listed.append(descriptor)
        before = each.digest
    return listed, ""


def _json(value: dict[str, Any]) -> bytes:
    """JSON that is no longer than the manifest that it comes from.

    Only halves of surrogate pairs, which UTF-8 has not, are escaped; Python's escape is JSON's.
    """
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _descriptor(manifest: StoredManifest) -> dict[str, Any]:
    descriptor: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.size,
    }
    if manifest.artifact_type is not None:
        descriptor["artifactType"] = manifest.artifact_type
    if manifest.annotations:
        descriptor["annotations"] = dict(manifest.annotations)
    return descriptor


def _next_query(wanted: str | None, last: str) -> str:
    if not wanted:
        return f"last={last}"
    escaped = "".join(c if c.isalnum() and c.isascii() else _escape(c) for c in wanted)
    return f"artifactType={escaped}&last={last}"


def _escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
