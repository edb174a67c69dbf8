"""HTTP as clients send it, and as they should not (RFC 9110 and 9112)."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.names import digest_of

if TYPE_CHECKING:
    from tests.server.conftest import Asked

HEAD = "GET /v2/ HTTP/1.1\r\nHost: x\r\n"
MIB = 1024 * 1024


def status_of(answer: bytes) -> int:
    return int(answer[9:12])


def chunked(*lines: bytes) -> bytes:
    head = f"POST /v2/a/blobs/uploads/?digest={digest_of(b'hello world')} HTTP/1.1\r\nHost: x\r\n"
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(lines)


@pytest.mark.parametrize(
    "lines",
    [
        (b"b\r\nhello world\r\n0\r\n\r\n",),
        (b"5\r\nhello\r\n", b"6\r\n world\r\n", b"0\r\n\r\n"),
        (b"B;name=value;x\r\nhello world\r\n", b'0;last="yes"\r\n\r\n'),
        (b"00b \t\r\nhello world\r\n0\r\n\r\n",),
        (b"b\r\nhello world\r\n0\r\n", b"Digest: x\r\nExpires: y\r\n\r\n"),
    ],
    ids=["one", "two", "extensions", "zeros and spaces", "trailers"],
)
def test_chunks_are_put_together(lines: tuple[bytes, ...], anywhere: Asked) -> None:
    with anywhere.connect() as connection:
        # Piece by piece, and another request behind it: nothing is read too far.
        for line in (*lines[:-1], lines[-1] + HEAD.encode() + b"Connection: close\r\n\r\n"):
            data = chunked(line) if line is lines[0] and len(lines) > 1 else line
            connection.sendall(data if len(lines) > 1 else chunked(data))
            time.sleep(0.01)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    assert status_of(answer) == 201
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in answer


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"5\r\nhel",
        b"5\r\nhello\r\n",
        b"5\r\nhello world\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nhello",
        b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"b\r\nhello world\r\n0\r\n",
        b"\nb \t\n\r\nhello world\r\n0\r\n\r\n",
        b" b\r\nhello world\r\n0\r\n\r\n",
        b"b\x0b\r\nhello world\r\n0\r\n\r\n",
        b"b;a\nb\r\nhello world\r\n0\r\n\r\n",
        b"b;a\rb\r\nhello world\r\n0\r\n\r\n",
        b"b\r\nhello world\r\n0\r\nTrailer: a\nb\r\n\r\n",
    ],
)
def test_broken_chunks_are_refused(lines: bytes, registry: Asked) -> None:
    answer = registry.raw(chunked(lines))
    assert status_of(answer) == 400
    assert b"SIZE_INVALID" in answer
    assert b"Connection: close" in answer
    assert registry.files() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: 5, 5", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: " + "9" * 5000, 400),
        ("Content-Length: \u0665".encode().decode("latin-1"), 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 501),
        *((f"Transfer-Encoding: {c}chunked", 501) for c in "\xa0\x85"),
        *((f"Transfer-Encoding: {c}chunked", 400) for c in "\x0b\x0c\x1f"),
        ("Transfer-Encoding: chunked\x0c", 400),
        ("Expect: a miracle", 417),
        ("Host: y", 400),
        ("Host: x", 400),
        ("No colon", 400),
        ("Space : before", 400),
        (" Folded: line", 400),
        (": nameless", 400),
        ("Nul: a\0b", 400),
        ("Return: a\rb", 400),
        ("Feed: a\nb", 400),
        ("N\u00e4me: x", 400),
        ("Long: " + "x" * 100_000, 431),
        ("\r\n".join(f"H{number}: x" for number in range(1000)), 431),
        ("Ordinary: " + "x" * 40_000, 200),
        ("Authorization: Bearer " + "x" * 16_000, 200),
        ("Odd: \u00ff\u00fe \t\u0080.", 200),
        *((f"Control: a{c}b", 400) for c in "\x01\x08\x0b\x0c\x1f\x7f"),
    ],
)
def test_absurd_headers_are_judged(headers: str, status: int, registry: Asked) -> None:
    answer = registry.raw(f"{HEAD}{headers}\r\n\r\n".encode("latin-1"))
    assert status_of(answer) == status
    assert status == 200 or b'{"errors": [{"code": "' in answer
    assert registry.ask("GET", "/v2/").status == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /v2/ HTTP/1.1", 200),
        ("GET http://elsewhere:80/v2/ HTTP/1.1", 200),
        ("GET HTTP://elsewhere/v2/ HTTP/1.1", 200),
        ("GET HttpS://elsewhere/v2/ HTTP/1.1", 200),
        ("GET ftp://elsewhere/v2/ HTTP/1.1", 404),
        ("GET /v2/ HTTP/1.2", 200),
        ("GET /v2/ HTTP/1.9", 200),
        ("GET /v2/ HTTP/1.10", 505),
        ("GET /v2/\x7f HTTP/1.1", 400),
        ("GET /v2/ HTTP/2.0", 505),
        ("GET /v2/", 400),
        ("GET", 400),
        ("GET  /v2/ HTTP/1.1", 400),
        ("G\u00cbT /v2/ HTTP/1.1", 400),
        ("GET /v2/\0 HTTP/1.1", 400),
        ("GET * HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("CONNECT a:1 HTTP/1.1", 404),
        ("GET  HTTP/1.1", 404),
        ("PRI * HTTP/2.0", 505),
        ("GET /" + "x" * 60_000 + " HTTP/1.1", 404),
        ("GET /" + "x" * 70_000 + " HTTP/1.1", 431),
    ],
)
def test_request_lines_are_judged(line: str, status: int, registry: Asked) -> None:
    answer = registry.raw(f"{line}\r\nHost: x\r\n\r\n".encode("latin-1"))
    assert status_of(answer) == status


@pytest.mark.parametrize("host", ["a b", "a/b", "a\t", 'a"b', "user@a", "a:b", "a:123456", "[::1"])
def test_a_host_that_is_none_never_gets_into_a_location(host: str, registry: Asked) -> None:
    answer = registry.raw(
        f"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    )
    assert status_of(answer) == (202 if host == "a\t" else 400)


@pytest.mark.parametrize("host", ["registry.example", "registry.example:5000", "[::1]:5000", ""])
def test_a_location_is_where_the_client_came_to(host: str, registry: Asked) -> None:
    answer = registry.raw(
        f"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    )
    expected = f"http://{host}" if host else registry.server.url
    assert f"Location: {expected}/v2/a/blobs/uploads/".encode() in answer


def test_the_host_of_a_target_goes_before_the_host_header(registry: Asked) -> None:
    """RFC 9112, section 3.2.2."""
    head = "POST http://one.example:80/v2/a/blobs/uploads/ HTTP/1.1\r\nHost: two.example\r\n\r\n"
    answer = registry.raw(head.encode())
    assert b"Location: http://one.example:80/v2/a/blobs/uploads/" in answer
    assert status_of(registry.raw(head.replace("one.example", 'a"b').encode())) == 400


def test_only_the_word_close_closes_a_connection(registry: Asked) -> None:
    request = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: foo-close-bar\r\n\r\n"
    assert b"Connection: close" not in registry.raw(request)
    assert b"Connection: close" in registry.raw(request.replace(b"foo-close-bar", b"te, Close"))


def test_http_1_0_is_spoken(registry: Asked) -> None:
    answer = registry.raw(b"GET /v2/ HTTP/1.0\r\n\r\n", half_close=False)
    assert status_of(answer) == 200
    assert b"Connection: close\r\n" in answer
    with registry.connect() as connection:
        for _ in range(2):
            connection.sendall(b"GET /v2/ HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            assert b"Connection: keep-alive\r\n" in connection.recv(1000)


def test_a_later_http_is_answered_as_1_1(registry: Asked) -> None:
    with registry.connect() as connection:
        for _ in range(2):
            connection.sendall(b"GET /v2/ HTTP/1.2\r\nHost: x\r\n\r\n")
            answer = connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"Connection:" not in answer


def test_chunks_in_http_1_0_end_the_connection(registry: Asked) -> None:
    """A proxy of that version may have taken what follows for a part of the body."""
    digest = digest_of(b"hello world")
    head = f"POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.0\r\nConnection: keep-alive\r\n"
    body = b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"
    answer = registry.raw(head.encode() + body + HEAD.encode() + b"\r\n", half_close=False)
    assert status_of(answer) == 201
    assert (answer.count(b"HTTP/1.1 "), b"Connection: close\r\n" in answer) == (1, True)


def test_what_is_no_http_is_answered_at_once(registry: Asked) -> None:
    answer = registry.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", half_close=False)
    assert status_of(answer) == 400
    assert b"TLS" in answer


def test_empty_lines_before_a_request_are_ignored(registry: Asked) -> None:
    assert status_of(registry.raw(b"\r\n\r\n" + HEAD.encode() + b"\r\n")) == 200


def test_empty_lines_may_come_by_themselves(registry: Asked) -> None:
    with registry.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (b"\r\n", b"\r\n", b"\r", b"\n", HEAD.encode() + b"\r\n"):
            connection.sendall(part)
            time.sleep(0.02)
        assert status_of(connection.recv(1000)) == 200


def test_requests_may_come_before_their_answers_are_read(registry: Asked) -> None:
    answers = registry.raw(10 * (HEAD.encode() + b"\r\n"))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 10


def test_the_body_is_asked_for_only_where_it_is_wanted(registry: Asked, blob: bytes) -> None:
    with registry.connect() as connection:
        head = f"HTTP/1.1\r\nHost: x\r\nContent-Length: {len(blob)}\r\nExpect: 100-continue\r\n\r\n"
        path = f"/v2/a/blobs/uploads/?digest={digest_of(blob)}"
        connection.sendall(f"POST {path} {head}".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(blob)
        assert status_of(connection.recv(1000)) == 201
        connection.sendall(f"POST /v2/A/blobs/uploads/ {head}".encode())
        answer = connection.recv(1000)
        assert status_of(answer) == 400
        # It may send the body all the same, or not: only a new connection makes that clear.
        assert b"Connection: close\r\n" in answer
        assert connection.recv(1000) == b""


@pytest.mark.parametrize("size", [10, 1 * MIB])
def test_a_connection_is_kept_after_an_error_with_an_unread_body(
    size: int, registry: Asked
) -> None:
    with registry.connect() as connection:
        for _ in range(3):
            head = f"PUT /v2/BAD/manifests/t HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode() + bytes(size))
            answer = connection.recv(65536)
            assert status_of(answer) == 400
            assert b"Connection: close" not in answer


@pytest.mark.parametrize("form", ["Content-Length: 33554432", "Transfer-Encoding: chunked"])
def test_the_answer_arrives_although_a_large_body_was_refused(form: str, registry: Asked) -> None:
    body = b"2000000\r\n" + bytes(32 * MIB)
    for _ in range(5):
        with registry.connect() as connection:
            head = f"PUT /v2/a/blobs/uploads/absent HTTP/1.1\r\nHost: x\r\n{form}\r\n\r\n"
            connection.sendall(head.encode() + body[: 32 * MIB])
            answer = b""
            while block := connection.recv(65536):
                answer += block
            assert status_of(answer) == 404
            assert b"Connection: close\r\n" in answer
