"""Clients that break off, dawdle or attack: the registry answers, keeps nothing, and lives on."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.names import digest_of
from pytest_registry.server import uploads
from pytest_registry.server.body import BLOCK, read_all
from pytest_registry.server.store import uploads as sessions

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit, Serve

MIB = 1024 * 1024


def status_of(answer: bytes) -> int:
    return int(answer[9:12])


# Clients that break off --------------------------------------------------------------------------


def hang_up(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("leave", [hang_up, reset])
@pytest.mark.parametrize("form", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_upload_that_breaks_off_leaves_nothing(
    method: str, form: str, leave: Callable[[socket.socket], None], registry: Asked, kit: Kit
) -> None:
    path = registry.start_upload("a") if method == "PUT" else "/v2/a/blobs/uploads/"
    connection = registry.connect()
    head = f"{method} {path}?digest={digest_of(b'x')} HTTP/1.1\r\nHost: x\r\n{form}\r\n\r\n"
    connection.sendall(head.encode() + b"ffff0\r\n" + b"x" * 50_000)
    kit.wait_until(lambda: registry.files() != [])
    leave(connection)
    kit.wait_until(lambda: [each.status for each in registry.records][-1:] == [400])
    assert registry.files() == []
    if method == "PUT":
        assert registry.ask("GET", path).status == 404


def test_a_chunk_that_breaks_off_can_be_resumed(anywhere: Asked, blob: bytes) -> None:
    path = anywhere.start_upload("a")
    head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(blob)}\r\n\r\n"
    answer = anywhere.raw(head.encode() + blob[:1234])
    assert status_of(answer) == 400
    assert b"SIZE_INVALID" in answer
    assert anywhere.ask("GET", path)["Range"] == "0-1233"
    rest = f"1234-{len(blob) - 1}"
    assert anywhere.ask("PATCH", path, blob[1234:], content_range=rest).status == 202
    assert anywhere.ask("PUT", f"{path}?digest={digest_of(blob)}").status == 201


def test_a_manifest_that_breaks_off_is_not_stored(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    content = kit.image()
    head = (
        f"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content) + 1}\r\n\r\n"
    )
    assert b"SIZE_INVALID" in registry.raw(head.encode() + content)
    assert registry.ask("GET", "/v2/a/manifests/t").status == 404


def test_a_client_that_leaves_in_the_middle_of_a_pull_disturbs_nobody(registry: Asked) -> None:
    blob = os.urandom(8 * MIB)
    path = f"/v2/a/blobs/{registry.push_blob('a', blob)}"
    with registry.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.recv(1000)
    assert registry.ask("GET", path).body == blob


def test_a_chunk_whose_length_differs_from_its_range_is_refused(registry: Asked) -> None:
    path = registry.start_upload("a")
    answer = registry.ask("PATCH", path, b"12345", content_range="0-9")
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])
    assert registry.ask("GET", path)["Range"] == "0-0"
    answer = registry.ask("PATCH", path, iter([b"123", b"45"]), content_range="0-9")
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])
    assert registry.files() == []


# Several requests on one upload -----------------------------------------------------------------


@pytest.fixture
def stalled(anywhere: Asked, kit: Kit) -> Iterator[str]:
    """The path of an upload to which a client has sent half of its chunk, and sends no more."""
    path = anywhere.start_upload("a")
    with anywhere.connect() as connection:
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode() + b"12345")
        session = anywhere.server._store.uploads._sessions[path.rpartition("/")[2]]
        kit.wait_until(session.turn.locked)
        yield path
        # Cancelled or not, its client learns what became of it.
        connection.sendall(b"6" * 95)
        assert status_of(connection.recv(1000)) in {202, 404}


def test_an_upload_is_cancelled_at_once_although_its_client_has_stalled(
    stalled: str, anywhere: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_TURN_SECONDS", 60.0)  # longer than an answer is waited for here
    assert anywhere.ask("DELETE", stalled).status == 204
    assert anywhere.ask("GET", stalled).status == 404
    assert anywhere.ask("DELETE", stalled).status == 404


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_second_request_on_a_stalled_upload_is_told_so(
    method: str, stalled: str, anywhere: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_TURN_SECONDS", 0.1)
    answer = anywhere.ask(method, f"{stalled}?digest={digest_of(b'x')}", b"x")
    assert (answer.status, answer.codes) == (409, ["BLOB_UPLOAD_INVALID"])
    assert anywhere.ask("GET", stalled).status == 204


def test_a_cancelled_upload_leaves_nothing_whatever_still_comes(registry: Asked, kit: Kit) -> None:
    path = registry.start_upload("a")
    with registry.connect() as connection:
        head = f"PUT {path}?digest={digest_of(b'x' * 9)} HTTP/1.1\r\nHost: x\r\n"
        connection.sendall(f"{head}Content-Length: 9\r\n\r\nxxxx".encode())
        kit.wait_until(lambda: registry.files() != [])
        assert registry.ask("DELETE", path).status == 204
        connection.sendall(b"xxxxx")
        answer = connection.recv(1000)
        assert (status_of(answer), b"BLOB_UPLOAD_UNKNOWN" in answer) == (404, True)
    assert registry.files() == []


def test_an_upload_that_nobody_continues_is_forgotten_when_others_are_asked_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = serve(upload_timeout=60.0)
    left, other = registry.start_upload("a"), registry.start_upload("a")
    registry.ask("PATCH", left, b"content")
    assert len(registry.files()) == 1
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 61.0)
    monkeypatch.setattr(sessions, "time", later)
    assert registry.ask("GET", other).status == 404
    assert registry.files() == []


# Slow clients ------------------------------------------------------------------------------------


def test_a_slow_client_is_served_and_a_silent_one_is_dropped(serve: Serve) -> None:
    registry = serve(timeout=5.0)
    with registry.connect() as slow, registry.connect() as silent:
        for byte in b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n":
            slow.sendall(bytes([byte]))
            time.sleep(0.002)
        assert slow.recv(1000).startswith(b"HTTP/1.1 200 ")
        silent.sendall(b"GET /v2/ HT")
        assert silent.recv(1000) == b""


def test_a_body_that_stops_coming_is_408(serve: Serve, kit: Kit) -> None:
    registry = serve(timeout=2.0)
    head = f"POST /v2/a/blobs/uploads/?digest={digest_of(b'x')} HTTP/1.1\r\nHost: x\r\n"
    with registry.connect() as connection:
        connection.sendall(f"{head}Content-Length: 9\r\n\r\n1234".encode())
        assert status_of(kit.read_all(connection)) == 408
    assert registry.files() == []


def test_a_body_that_comes_after_its_408_is_not_taken_for_the_next_request(
    serve: Serve, kit: Kit
) -> None:
    registry = serve(timeout=2.0)
    path = registry.start_upload("a")
    with registry.connect() as connection:
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head.encode() + b"1234")
        answer = connection.recv(1000)
        connection.sendall(b"56789GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        answer += kit.read_all(connection)
    assert status_of(answer) == 408
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_chunk_that_stops_coming_can_be_resumed_from_where_the_registry_says(
    serve: Serve, kit: Kit
) -> None:
    registry, blob = serve(timeout=2.0), os.urandom(1 * MIB)
    path = registry.start_upload("a")
    with registry.connect() as connection:
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(blob)}\r\n\r\n"
        connection.sendall(head.encode() + blob[:700_000])
        assert status_of(kit.read_all(connection)) == 408
    # Of what came the last block, which was not full, is lost.
    begin = 2 * BLOCK
    assert registry.ask("GET", path)["Range"] == f"0-{begin - 1}"
    rest = f"{begin}-{len(blob) - 1}"
    assert registry.ask("PATCH", path, blob[begin:], content_range=rest).status == 202
    assert registry.ask("PUT", f"{path}?digest={digest_of(blob)}").status == 201


def test_a_head_must_come_as_a_whole_within_the_timeout(serve: Serve) -> None:
    registry = serve(timeout=0.5)
    begin = time.monotonic()
    with registry.connect() as connection, contextlib.suppress(ConnectionError):
        while not has_ended(connection):
            assert time.monotonic() - begin < 60
            connection.sendall(b"G")
    assert time.monotonic() - begin > 0.4


def has_ended(connection: socket.socket) -> bool:
    """Whether the other side closes within a tenth of a second."""
    connection.settimeout(0.1)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    "parts",
    [
        ("Content-Length: 9\r\n\r\n", "1"),
        ("Transfer-Encoding: chunked\r\n\r\n", "9"),
        ("Transfer-Encoding: chunked\r\n\r\n9\r\n", "1234"),
    ],
    ids=["sized", "within a chunk's size", "within a chunk"],
)
def test_a_body_that_stalls_is_408_after_one_timeout(
    parts: tuple[str, str], serve: Serve, kit: Kit
) -> None:
    registry = serve(timeout=2.0)
    head = f"POST /v2/a/blobs/uploads/?digest={digest_of(b'x')} HTTP/1.1\r\nHost: x\r\n"
    for _ in range(3):  # this machine may stand still in one look, not in all three
        with registry.connect() as connection:
            connection.sendall(f"{head}{parts[0]}".encode())
            time.sleep(0.5)
            begin = time.monotonic()
            connection.sendall(parts[1].encode())
            assert status_of(connection.recv(1000)) == 408
            took = time.monotonic() - begin
        if 1.8 < took < 3.4:
            break
    assert 1.8 < took < 3.4
    assert registry.files() == []


def test_a_body_that_comes_slowly_is_waited_for(serve: Serve) -> None:
    registry = serve(timeout=3.0)
    head = f"POST /v2/a/blobs/uploads/?digest={digest_of(b'123456789')} HTTP/1.1\r\nHost: x\r\n"
    with registry.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(f"{head}Content-Length: 9\r\n\r\n".encode())
        for byte in b"123456789":
            time.sleep(0.4)
            connection.sendall(bytes([byte]))
        assert status_of(connection.recv(1000)) == 201


def test_a_stalled_manifest_costs_only_what_came_of_it() -> None:
    class Nothing:
        received, unread = 0, None

        def __init__(self, length: int | None) -> None:
            self.length = length

        def read_into(self, view: memoryview) -> int:
            seen.append(len(view))
            return 0

    seen: list[int] = []
    for length in (None, 4 * MIB):
        assert read_all(Nothing(length), 4 * MIB) == b""
    assert max(seen) <= 64 * 1024


def test_a_client_that_does_not_read_keeps_only_its_own_thread(serve: Serve, kit: Kit) -> None:
    registry = serve(timeout=2.0)
    path = f"/v2/a/blobs/{registry.push_blob('a', bytes(16 * MIB))}"
    with registry.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert registry.ask("GET", "/v2/").status == 200
        kit.wait_until(lambda: any(each.route == "blob" for each in registry.records))
        (record,) = (each for each in registry.records if each.route == "blob")
        assert record.bytes_out < 16 * MIB


def test_200_connections_are_served_at_once(registry: Asked, blob: bytes) -> None:
    path = f"/v2/a/blobs/{registry.push_blob('a', blob)}"
    connections = [registry.connect() for _ in range(200)]
    try:
        for _ in range(2):
            for connection in connections:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            for connection in connections:
                response = http.client.HTTPResponse(connection)
                response.begin()
                assert response.read() == blob
    finally:
        for connection in connections:
            connection.close()


# Paths -------------------------------------------------------------------------------------------

TRICKS = [
    "/v2/../../../../etc/passwd",
    "/v2/%2e%2e/%2e%2e/etc/passwd/tags/list",
    "/v2/a/manifests/../../../journal",
    "/v2/a/manifests/..%2f..%2fjournal",
    "/v2/a/blobs/..%2F..%2F..%2Fjournal",
    "/v2/a/blobs/sha256:..%2f..%2f..%2fjournal",
    "/v2/a/blobs/sha256:" + "%2e" * 64,
    "/v2/a/blobs/uploads/..%2f..%2fjournal",
    "/v2/a%2fb/tags/list",
    "/v2/a%252fb/tags/list",
    "/v2/a%00b/tags/list",
    "/v2/a/manifests/%00",
    "/v2/a/manifests/t%0d%0aX-Injected:%20yes",
    "/v2/a/referrers/%0d%0aX-Injected:%20yes",
    "/v2/a%0d%0aX-Injected:%20yes/tags/list?n=1",
    "/v2/" + "a" * 10_000 + "/tags/list",
    "/v2/" + "a/" * 5_000 + "tags/list",
    "/v2/a/manifests/" + "t" * 10_000,
    "/v2/a/blobs/sha256:" + "0" * 10_000,
    "/v2/a/blobs/uploads/" + "0" * 10_000,
    "/v2/%ff%fe/tags/list",
    "/v2/%F0%9F%90%B3/tags/list",
    "/v2/a/manifests/%E2%80%AE",
    "/v2/%zz/tags/list",
    "/v2/./tags/list",
    "/v2//tags/list",
    "/v2/a/tags/list/",
    "/v2/con/../nul/tags/list",
    "/v2/a\\..\\b/tags/list",
    "//v2/a/tags/list",
    "/v2/_catalog/../a/tags/list",
]


@pytest.mark.parametrize("path", TRICKS, ids=lambda path: path[:50])
def test_path_tricks_reach_nothing(path: str, registry: Asked, tmp_path: Path) -> None:
    registry.push_image("a", "t")
    before = sorted(tmp_path.rglob("*"))
    for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
        message = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
        answer = registry.raw(message.encode("latin-1"))
        assert status_of(answer) in {400, 404, 405}
        assert b"\r\nX-Injected" not in answer
        assert b"root:" not in answer
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "journal").exists()
