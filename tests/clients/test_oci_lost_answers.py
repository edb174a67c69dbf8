"""What the client makes of answers that never came, and of files that cannot be read."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import ImageNotFound, ProtocolError, PushError, TransferError
from pytest_registry.oci.names import digest_of
from tests.clients.conftest import in_turn

if TYPE_CHECKING:
    from tests.clients.conftest import Reply, Script, ScriptedServer, Seen

Ask = Callable[["Script"], tuple[OciClient, "ScriptedServer"]]

BLOB = bytes(range(256)) * 5000
DIGEST = digest_of(BLOB)


def test_a_deletion_whose_answer_was_lost_is_done(ask: Ask, reply: type[Reply]) -> None:
    client, server = ask(in_turn(reply(0), reply(404)))
    client.delete_blob("a", DIGEST)
    assert [each.method for each in server.seen] == ["DELETE", "DELETE"]


def test_a_deletion_of_what_was_never_there_is_not(ask: Ask, reply: type[Reply]) -> None:
    client, _ = ask(in_turn(reply(404)))
    with pytest.raises(ImageNotFound):
        client.delete_blob("a", DIGEST)


@pytest.mark.parametrize("status", [0, 503])
def test_a_registry_that_does_not_get_to_answer_lacks_nothing(
    ask: Ask, reply: type[Reply], status: int
) -> None:
    stored: dict[str, bytes] = {}

    def script(seen: Seen) -> Reply:
        if "/referrers/" in seen.path:
            return reply(status)
        if seen.method == "PUT" and "/manifests/" in seen.path:
            stored[seen.path] = seen.body
            return reply(201, {"Docker-Content-Digest": digest_of(seen.body)})
        if seen.method == "HEAD":
            return reply(404)
        if seen.method == "POST":
            return reply(202, {"Location": "/up"})
        return reply(201)

    client, _ = ask(script)
    with pytest.raises(TransferError, match="referrers"):
        client.missing_features()
    assert stored


def test_an_upload_that_never_begins_is_tried_no_oftener_than_any_request(
    ask: Ask, reply: type[Reply]
) -> None:
    client, server = ask(lambda seen: reply(404 if seen.method == "HEAD" else 503))
    with pytest.raises(ProtocolError, match="503"):
        client.put_blob("a", BLOB)
    assert len(server.asked("POST")) == 3  # as the client of these tests does


def test_an_upload_that_nobody_answers_is_waited_for_once(
    scripted: Callable[[Script], ScriptedServer], reply: type[Reply]
) -> None:
    over = threading.Event()

    def script(seen: Seen) -> Reply:
        if seen.method == "HEAD":
            return reply(404)
        over.wait(30)
        return reply(0)

    server = scripted(script)
    with (
        OciClient(server.url, timeout=1.0) as client,
        pytest.raises(ProtocolError, match="did not answer in time"),
    ):
        client.put_blob("a", BLOB)
    over.set()
    assert [each.method for each in server.seen] == ["HEAD", "POST"]


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_registry(
    ask: Ask, reply: type[Reply]
) -> None:
    class Damaged(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002
            raise OSError(errno.EIO, "Input/output error", "layer.tar")

    replies = {"HEAD": reply(404), "POST": reply(202, {"Location": "/up"}), "DELETE": reply(204)}
    client, server = ask(lambda seen: replies[seen.method])
    with pytest.raises(PushError, match=r"cannot be read: .*layer\.tar"):
        client.put_blob("a", Damaged(BLOB), digest=DIGEST)
    assert len(server.asked("POST")) == 1
    assert server.asked("DELETE")


def test_a_file_that_shrinks_meanwhile_is_told_at_once(ask: Ask, reply: type[Reply]) -> None:
    class Shrinking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            self.truncate(10)
            return super().read(size)

    replies = {"HEAD": reply(404), "POST": reply(202, {"Location": "/up"}), "DELETE": reply(204)}
    client, server = ask(lambda seen: replies[seen.method])
    with pytest.raises(PushError, match="its source holds 10 bytes"):
        client.put_blob("a", Shrinking(BLOB), digest=DIGEST)
    assert len(server.asked("POST")) == 1
