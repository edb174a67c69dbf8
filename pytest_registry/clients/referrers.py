"""Referrers: listed by the registry, or kept by clients under a tag where it has no such API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus

from pytest_registry.clients.challenge import repository_scope
from pytest_registry.clients.listing import pages
from pytest_registry.clients.manifests import get_manifest, parse, reference, remove, store
from pytest_registry.clients.session import Request, Session
from pytest_registry.errors import ImageNotFound, ProtocolError
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import OCI_INDEX

Descriptors = tuple[Descriptor, ...]


def put_manifest(session: Session, repository: str, target: str, manifest: Manifest) -> Descriptor:
    """Store a manifest, and its entry in the subject's list where the registry keeps none.

    (distribution-spec, "Pushing Manifests with Subject")
    """
    stored = store(session, repository, target, manifest)
    manifest = manifest.known_by(stored.digest)
    if manifest.subject is not None and not stored.noted:
        entry = referrer_of(manifest)
        _edit(session, repository, manifest.subject.digest, lambda old: _added(old, entry))
    return manifest.describe()


def delete_manifest(session: Session, repository: str, digest: str) -> None:
    """Delete a manifest, and its entry in a list that clients keep ("Deleting Manifests")."""
    subject = get_manifest(session, repository, digest).subject
    remove(session, repository, digest)
    if subject is not None and _from_api(session, repository, subject.digest, None) is None:
        _edit(session, repository, subject.digest, lambda old: _without(old, digest))


def list_referrers(
    session: Session, repository: str, digest: str, artifact_type: str | None
) -> Descriptors:
    """The descriptors of what has `digest` as its subject ("Listing Referrers").

    The registry need not filter by artifact type; what it left is filtered here.
    """
    found = _from_api(session, repository, digest, artifact_type)
    if found is None:
        found = _fallback(session, repository, digest)
    if artifact_type is None:
        return found
    return tuple(each for each in found if each.extra.get("artifactType") == artifact_type)


def try_api(session: Session, repository: str, digest: str) -> None:
    """Ask the registry itself for referrers; raises ProtocolError where it has no such API."""
    if _from_api(session, repository, digest, None) is None:
        asked = f"list the referrers of {reference(session, repository, digest)}"
        raise ProtocolError(asked, "it has no referrers API", status=HTTPStatus.NOT_FOUND)


def referrers_tag(digest: str) -> str:
    """The tag under which clients keep a list ("Referrers Tag Schema")."""
    algorithm, _, encoded = digest.partition(":")
    return re.sub(r"[^a-zA-Z0-9._-]", "-", f"{algorithm[:32]}-{encoded[:64]}")


def referrer_of(manifest: Manifest) -> Descriptor:
    """A manifest's entry in a list: with its artifact type and annotations."""
    artifact_type = manifest.artifact_type
    if not artifact_type and manifest.config is not None:
        artifact_type = manifest.config.media_type
    extra: dict[str, object] = {}
    if artifact_type:
        extra["artifactType"] = artifact_type
    if manifest.annotations:
        extra["annotations"] = dict(manifest.annotations)
    return manifest.describe()._replace(extra=extra)


def _from_api(
    session: Session, repository: str, digest: str, artifact_type: str | None
) -> Descriptors | None:
    """What the registry lists, over all pages; None where it has no such API."""
    request = Request(
        f"list the referrers of {reference(session, repository, digest)}",
        "GET",
        f"/v2/{repository}/referrers/{digest}",
        (repository_scope(repository, "pull"),),
        headers={"Accept": OCI_INDEX},
        expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
    )
    query = {} if artifact_type is None else {"artifactType": artifact_type}
    found: list[Descriptor] = []
    for answer, content in pages(session, request, query):
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        found.extend(parse(content, OCI_INDEX, request.asked).manifests)
    return tuple(found)


def _fallback(session: Session, repository: str, digest: str) -> Descriptors:
    """The list under the tag; empty where there is no valid one."""
    try:
        return _kept(session, repository, digest)
    except ProtocolError:
        return ()


def _kept(session: Session, repository: str, digest: str) -> Descriptors:
    """The list under the tag; raises ProtocolError where the tag holds something else."""
    tag = referrers_tag(digest)
    try:
        found = get_manifest(session, repository, tag)
    except ImageNotFound:
        return ()
    if found.media_type != OCI_INDEX:
        asked = f"keep the referrers of {reference(session, repository, digest)}"
        raise ProtocolError(asked, f"the tag {tag} holds {found.media_type}, no image index")
    return found.manifests


def _edit(
    session: Session, repository: str, subject: str, edit: Callable[[Descriptors], Descriptors]
) -> None:
    # Two threads of one client must not lose each other's entries; other clients still can.
    with session.referrers_lock:
        old = _kept(session, repository, subject)
        new = edit(old)
        if new != old:
            store(session, repository, referrers_tag(subject), _index(new))


def _added(old: Descriptors, entry: Descriptor) -> Descriptors:
    return old if any(each.digest == entry.digest for each in old) else (*old, entry)


def _without(old: Descriptors, digest: str) -> Descriptors:
    return tuple(each for each in old if each.digest != digest)


def _index(manifests: Descriptors) -> Manifest:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [each.to_json() for each in manifests],
    }
    return Manifest.parse(json.dumps(value).encode(), OCI_INDEX)
