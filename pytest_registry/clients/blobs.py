"""Blobs over HTTP: streamed and verified down, streamed up, mounted across repositories."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from urllib.parse import quote, urlencode

from pytest_registry.clients.challenge import repository_scope
from pytest_registry.clients.failures import no_answer
from pytest_registry.clients.http import Answer, Body, NoAnswer
from pytest_registry.clients.retries import Pace
from pytest_registry.clients.session import Request, Session
from pytest_registry.errors import (
    AuthenticationFailed,
    ProtocolError,
    PullError,
    PushError,
    RegistryError,
)
from pytest_registry.images.source import BlockReader
from pytest_registry.oci.media_types import OCTET_STREAM
from pytest_registry.oci.names import algorithm_of, is_digest


class BlobStream:
    """A blob on its way from a registry; its digest is compared while it is read.

    Raises PullError where the digest is of another algorithm than sha256 and sha512. So does
    reading where content or size differ. Where the registry told the size, the last block is only
    given out after the comparison; otherwise the read at the end raises.
    A broken connection is taken up again where it broke (distribution-spec, "Resumable Pull").
    """

    def __init__(self, session: Session, request: Request, digest: str, size: int | None) -> None:
        if not is_digest(digest):
            raise PullError(
                request.asked,
                f"its digest {digest} cannot be verified here",
                "name it by a sha256 or sha512 digest",
            )
        self._session = session
        self._request = request
        self._digest = digest
        self._answer = session.send(request)
        self.size = _length(self._answer, size, request.asked)
        self._blocks = BlockReader(self._verified())

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, all for -1; b"" at the end; raises PullError, TransferError."""
        return self._blocks.read(size)

    def close(self) -> None:
        """End the transfer; nothing is compared where it was not read to its end."""
        self._blocks.close()
        self._answer.close()

    def __enter__(self) -> BlobStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _verified(self) -> Iterator[bytes]:
        seen = hashlib.new(algorithm_of(self._digest))
        received = 0
        for block in self._received():
            seen.update(block)
            received += len(block)
            if received == self.size:
                self._compare(seen.hexdigest())
            yield block
        if received != self.size or received == 0:
            self._compare(seen.hexdigest())
        self._answer.close()

    def _received(self) -> Iterator[bytes]:
        pace = Pace(self._session.policy)
        received = position = 0
        while True:
            try:
                for block in self._answer.blocks():
                    position += len(block)
                    unseen = position - received
                    if unseen > 0:
                        received = position
                        yield block[-unseen:]
            except NoAnswer as error:
                self._answer.close()
                if not pace.after_failure():
                    raise no_answer(self._request.asked, error) from error
                self._answer = self._rest_from(received)
                # A server may send all of it again (RFC 9110, section 14.2).
                position = 0 if self._answer.status == HTTPStatus.OK else received
            else:
                return

    def _rest_from(self, received: int) -> Answer:
        headers = {"Range": f"bytes={received}-"}
        request = Request(
            self._request.asked,
            "GET",
            self._request.target,
            self._request.scopes,
            headers=headers,
            expect=(HTTPStatus.PARTIAL_CONTENT, HTTPStatus.OK),
        )
        return self._session.send(request)

    def _compare(self, found: str) -> None:
        expected = self._digest.partition(":")[2]
        if found != expected:
            self._answer.close()
            other = f"{algorithm_of(self._digest)}:{found}"
            raise PullError(
                self._request.asked,
                f"the registry sent other content: its digest is {other}",
                "push the image again; the registry's storage may be damaged",
                section="other-content",
            )


def open_blob(session: Session, repository: str, digest: str, size: int | None) -> BlobStream:
    """Begin to read a blob; `size` in bytes is compared where given. Raises ImageNotFound."""
    asked = f"get blob {digest} of {session.host}/{repository}"
    scopes = (repository_scope(repository, "pull"),)
    request = Request(asked, "GET", f"/v2/{repository}/blobs/{digest}", scopes)
    return BlobStream(session, request, digest, size)


def has_blob(session: Session, repository: str, digest: str, *actions: str) -> bool:
    """Whether the repository holds the blob; `actions` are the rights that come next."""
    request = Request(
        f"look for blob {digest} in {session.host}/{repository}",
        "HEAD",
        f"/v2/{repository}/blobs/{digest}",
        (repository_scope(repository, *(actions or ("pull",))),),
        expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
    )
    return session.order(request).status == HTTPStatus.OK


def upload(session: Session, repository: str, digest: str, body: Body) -> None:
    """POST and PUT a blob (distribution-spec, "POST then PUT").

    The whole upload is begun anew a few times where the connection breaks or the server fails; not
    where no answer came in time.
    """
    pace = Pace(session.policy)
    while True:
        try:
            return _finish(session, repository, digest, body, _begin(session, repository, digest))
        except ProtocolError as error:
            server = error.status is None or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            if _was_late(error) or not (server and pace.after_failure()):
                raise


def mount(
    session: Session,
    repository: str,
    digest: str,
    from_repository: str,
    body: Callable[[], Body] | None,
) -> bool:
    """Mount a blob of another repository (distribution-spec, "Mounting a blob").

    Returns whether the registry did so. Where it began an upload instead (202), `body` is sent,
    or the upload is cancelled where there is none.
    """
    push = repository_scope(repository, "pull", "push")
    query = urlencode({"mount": digest, "from": from_repository})
    request = Request(
        f"mount blob {digest} of {from_repository} in {session.host}/{repository}",
        "POST",
        f"/v2/{repository}/blobs/uploads/?{query}",
        (push, repository_scope(from_repository, "pull")),
        expect=(HTTPStatus.CREATED, HTTPStatus.ACCEPTED),
        missing=False,
    )
    try:
        answer = session.order(request)
    except AuthenticationFailed:
        if body is None:
            raise
        # This account may not read the other repository; it may still push what it was given.
        upload(session, repository, digest, body())
        return False
    if answer.status == HTTPStatus.CREATED:
        return True
    location = _location(answer, request.asked)
    if body is None:
        _cancel(session, repository, location)
    else:
        _finish(session, repository, digest, body(), location)
    return False


def delete_blob(session: Session, repository: str, digest: str) -> None:
    """Delete a blob; raises ImageNotFound, ProtocolError where deletion is disabled."""
    request = Request(
        f"delete blob {digest} of {session.host}/{repository}",
        "DELETE",
        f"/v2/{repository}/blobs/{digest}",
        (repository_scope(repository, "delete"),),
        expect=(HTTPStatus.ACCEPTED,),
    )
    session.order(request)


def _begin(session: Session, repository: str, digest: str) -> str:
    algorithm = algorithm_of(digest)
    query = "" if algorithm == "sha256" else f"?digest-algorithm={algorithm}"
    request = Request(
        f"begin to push blob {digest} to {session.host}/{repository}",
        "POST",
        f"/v2/{repository}/blobs/uploads/{query}",
        (repository_scope(repository, "pull", "push"),),
        expect=(HTTPStatus.ACCEPTED,),
        repeat=False,  # `upload` does, and for the whole of it
        missing=False,
    )
    return _location(session.order(request), request.asked)


def _finish(session: Session, repository: str, digest: str, body: Body, location: str) -> None:
    join = "&" if "?" in location else "?"
    request = Request(
        f"push blob {digest} to {session.host}/{repository}",
        "PUT",
        f"{location}{join}digest={quote(digest, safe='')}",
        (repository_scope(repository, "pull", "push"),),
        headers={"Content-Type": OCTET_STREAM},
        body=body,
        expect=(HTTPStatus.CREATED,),
        repeat=False,
        missing=False,
    )
    try:
        session.order(request)
    except RegistryError as error:
        if not _was_late(error):
            _cancel(session, repository, location)
        raise


def _was_late(error: RegistryError) -> bool:
    return isinstance(error.__cause__, NoAnswer) and error.__cause__.late


def _cancel(session: Session, repository: str, location: str) -> None:
    """End an upload that is given up; failures are of no interest (distribution-spec, "Cancel")."""
    request = Request(
        "cancel an upload",
        "DELETE",
        location,
        (repository_scope(repository, "pull", "push"),),
        expect=(HTTPStatus.NO_CONTENT,),
        repeat=False,
    )
    try:
        session.order(request)
    except RegistryError:
        return


def _location(answer: Answer, asked: str) -> str:
    location = answer.header("Location")
    if not location:
        raise ProtocolError(asked, "the answer has no Location", status=answer.status)
    return answer.resolve(location)


def _length(answer: Answer, size: int | None, asked: str) -> int | None:
    header = answer.header("Content-Length") or ""
    length = int(header) if header.isascii() and header.isdigit() else None
    if size is not None and length is not None and length != size:
        answer.close()
        happened = f"it holds {length} bytes, its descriptor says {size}"
        raise PullError(asked, happened, "push the image again", section="other-content")
    return size if length is None else length


def sized(blocks: Iterable[bytes], size: int, asked: str) -> Iterator[bytes]:
    """The blocks, whose bytes must be `size`; raises PushError before too many are given out.

    And where they cannot be read.
    """
    seen = 0
    try:
        for block in blocks:
            seen += len(block)
            if seen > size:
                break
            yield block
    except OSError as error:  # which would be taken for the connection's
        raise _unreadable(asked, error) from error
    if seen != size:
        found = "more" if seen > size else str(seen)
        happened = f"its source holds {found} bytes, its descriptor says {size}"
        raise PushError(
            asked, happened, "take the image from its origin again", section="other-content"
        )


def _unreadable(asked: str, error: OSError) -> PushError:
    happened = f"what it comes from cannot be read: {error}"
    return PushError(asked, happened, "look at the file, and at its disk")
