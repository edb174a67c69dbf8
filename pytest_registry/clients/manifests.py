"""Manifests over HTTP, compared with their digests."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from pytest_registry.clients.challenge import repository_scope
from pytest_registry.clients.headers import media_type
from pytest_registry.clients.http import Answer, Body
from pytest_registry.clients.session import Request, Session
from pytest_registry.errors import ProtocolError, PullError, PushError, Unsupported
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import EVERY_MANIFEST, OCTET_STREAM
from pytest_registry.oci.names import algorithm_of, digest_of, is_digest
from pytest_registry.oci.reference import located

MAX_MANIFEST = 16 << 20
"""Bytes; the specification asks for at least 4 MB ("Pushing Manifests")."""

ACCEPT = {"Accept": ", ".join((*EVERY_MANIFEST, "*/*;q=0.1"))}


class Stored(NamedTuple):
    """What a registry made of a manifest that was pushed.

    `digest` is the one that it holds the manifest by. `noted`: it took note of the subject.
    """

    digest: str
    noted: bool


def get_manifest(session: Session, repository: str, target: str) -> Manifest:
    """A manifest by tag or digest, compared with the digest; raises ImageNotFound, PullError.

    It is known by the digest that was asked for, else by the one that the registry tells.
    """
    request = Request(
        f"get {reference(session, repository, target)}",
        "GET",
        f"/v2/{repository}/manifests/{target}",
        (repository_scope(repository, "pull"),),
        headers=ACCEPT,
    )
    answer, content = session.fetch(request, MAX_MANIFEST)
    digest = _known_by(target, answer, content)
    if (found := digest_of(content, algorithm_of(digest))) != digest:
        happened = f"the registry sent other content: its digest is {found}, not {digest}"
        raise PullError(request.asked, happened, "push the image again", section="other-content")
    kind = media_type(answer.header("Content-Type"))
    return parse(content, kind, request.asked).known_by(digest)


def head_manifest(session: Session, repository: str, target: str) -> Descriptor | None:
    """The descriptor of a manifest, None where there is none; one HEAD request."""
    request = Request(
        f"look for {reference(session, repository, target)}",
        "HEAD",
        f"/v2/{repository}/manifests/{target}",
        (repository_scope(repository, "pull"),),
        headers=ACCEPT,
        expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
    )
    answer = session.order(request)
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    found = _described(answer, target)
    # Registries of earlier specifications need not tell the digest: read the manifest itself.
    return found or get_manifest(session, repository, target).describe()


def store(session: Session, repository: str, target: str, manifest: Manifest) -> Stored:
    """Store a manifest under a tag or its digest, as it is; raises ProtocolError.

    Under a tag the registry chooses the digest's algorithm. Raises PushError where what it then
    tells is not the digest of what was sent.
    """
    request = Request(
        f"push {reference(session, repository, target)}",
        "PUT",
        f"/v2/{repository}/manifests/{target}",
        (repository_scope(repository, "pull", "push"),),
        headers={"Content-Type": manifest.media_type},
        body=Body.of(manifest.content),
        expect=(HTTPStatus.CREATED,),
        missing=False,
    )
    answer = session.order(request)
    digest = _known_by(target, answer, manifest.content)
    if (sent := digest_of(manifest.content, algorithm_of(digest))) != digest:
        happened = f"the registry stored other content: its digest is {digest}, not {sent}"
        raise PushError(request.asked, happened, "push the image again", section="other-content")
    return Stored(digest, noted=answer.header("OCI-Subject") is not None)


def remove(session: Session, repository: str, target: str) -> None:
    """Delete by tag or digest; raises ImageNotFound, ProtocolError where it is disabled."""
    request = Request(
        f"delete {reference(session, repository, target)}",
        "DELETE",
        f"/v2/{repository}/manifests/{target}",
        (repository_scope(repository, "delete"),),
        expect=(HTTPStatus.ACCEPTED,),
    )
    session.order(request)


def delete_tag(session: Session, repository: str, tag: str) -> None:
    """Delete a tag and leave its manifest; raises Unsupported where the registry never does."""
    try:
        remove(session, repository, tag)
    except ProtocolError as error:
        if error.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED):
            raise
        remedy = "delete the manifest by digest, or use the embedded engine, which deletes tags"
        raise Unsupported(error.asked, error.happened, remedy, section="no-tag-deletion") from error


def reference(session: Session, repository: str, target: str) -> str:
    """How messages name a manifest."""
    return located(f"{session.host}/{repository}", target)


def parse(content: bytes, kind: str, asked: str) -> Manifest:
    """A manifest that a registry sent; raises ProtocolError where it is none."""
    try:
        return Manifest.parse(content, kind or OCTET_STREAM)
    except ValueError as error:
        raise ProtocolError(asked, f"the manifest is not valid: {error}") from None


def _known_by(target: str, answer: Answer, content: bytes) -> str:
    """The digest that was asked for, else the one that the registry tells, else the content's."""
    # Registries of earlier specifications need not tell it, and it may be of an unknown algorithm.
    return _told(target, answer) or digest_of(content)


def _told(target: str, answer: Answer) -> str | None:
    digest = target if is_digest(target) else answer.header("Docker-Content-Digest") or ""
    return digest if is_digest(digest) else None


def _described(answer: Answer, target: str) -> Descriptor | None:
    digest = _told(target, answer)
    length = answer.header("Content-Length") or ""
    kind = media_type(answer.header("Content-Type"))
    if digest is None or not (length.isascii() and length.isdigit() and kind):
        return None
    return Descriptor(kind, digest, int(length))
