"""TLS: encrypted in memory, block by block, and as strict about its ends as plain connections."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from pytest_registry.oci.names import digest_of

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit, Serve

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    issued = authority.issue_cert("127.0.0.1")
    paths = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    issued.cert_chain_pems[0].write_to_path(paths["certificate"])
    issued.private_key_pem.write_to_path(paths["key"])
    return paths


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls_is_spoken_with_a_certificate(
    serve: Serve, certificate: dict[str, Path], authority: trustme.CA, blob: bytes
) -> None:
    registry = serve(**certificate)
    assert registry.server.url.startswith("https://")
    connection = http.client.HTTPSConnection(
        "127.0.0.1", registry.server.port, context=trusting(authority)
    )
    large = blob * 1000
    connection.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(large)}", large)
    response = connection.getresponse()
    assert (response.status, response.read()) == (201, b"")
    location = response.headers["Location"]
    assert location.startswith(f"{registry.server.url}/v2/a/blobs/")
    connection.request("GET", location)
    assert connection.getresponse().read() == large
    # A refused large body: the answer must get through here too.
    connection.close()
    connection.request("PUT", "/v2/a/blobs/uploads/absent", bytes(8 * 1024 * 1024))
    assert connection.getresponse().status == 404
    connection.close()


def test_a_client_that_never_shakes_hands_keeps_nobody_waiting(
    serve: Serve, certificate: dict[str, Path], authority: trustme.CA
) -> None:
    registry = serve(**certificate)
    with registry.connect(), registry.connect() as plain:
        plain.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", registry.server.port, context=trusting(authority)
        )
        connection.request("GET", "/v2/")
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_a_client_that_speaks_plain_http_is_told(
    serve: Serve, certificate: dict[str, Path], method: str
) -> None:
    port = serve(**certificate).server.port
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, "/v2/")
    answer = connection.getresponse()
    assert answer.status == 400
    assert method == "HEAD" or b"HTTPS server" in answer.read()
    connection.close()


def test_a_client_certificate_is_asked_for(
    serve: Serve, certificate: dict[str, Path], authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    registry = serve(**certificate, client_ca=tmp_path / "ca.pem")

    def status(context: ssl.SSLContext) -> int:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", registry.server.port, context=context, timeout=30
        )
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status
        finally:
            connection.close()

    with pytest.raises(OSError, match=r"required|reset|closed|EOF"):
        status(trusting(authority))
    context = trusting(authority)
    authority.issue_cert("client.example").configure_cert(context)
    assert status(context) == 200


@contextmanager
def encrypted(registry: Asked, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A connection that tells an announced end (an empty block) from one that is not (SSLError)."""
    with (
        registry.connect() as plain,
        context.wrap_socket(
            plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False
        ) as connection,
    ):
        yield connection


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bodies_of_any_size_pass_in_both_directions(
    serve: Serve, certificate: dict[str, Path], authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    registry = serve(**certificate)
    context = trusting(authority)
    context.minimum_version = context.maximum_version = version
    connection = http.client.HTTPSConnection("127.0.0.1", registry.server.port, context=context)
    for size in (0, 1, 16 * 1024, 64 * 1024 + 1, 5 * MIB + 12345):
        blob = os.urandom(size)
        digest = digest_of(blob)
        connection.request("POST", f"/v2/a/blobs/uploads/?digest={digest}", blob)
        response = connection.getresponse()
        assert (response.status, response.read()) == (201, b"")
        connection.request("GET", f"/v2/a/blobs/{digest}")
        assert connection.getresponse().read() == blob
    connection.close()


def test_the_end_of_a_connection_is_announced(
    serve: Serve, certificate: dict[str, Path], authority: trustme.CA, kit: Kit
) -> None:
    registry = serve(**certificate)
    with encrypted(registry, trusting(authority)) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert kit.read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def by_announcing_it(connection: ssl.SSLSocket) -> None:
    connection.unwrap().close()


def by_closing(connection: ssl.SSLSocket) -> None:
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("end", [by_announcing_it, by_closing])
def test_an_upload_that_its_client_ends_early_leaves_nothing(
    serve: Serve,
    certificate: dict[str, Path],
    authority: trustme.CA,
    kit: Kit,
    end: Callable[[ssl.SSLSocket], None],
) -> None:
    registry = serve(**certificate)
    path = f"/v2/a/blobs/uploads/?digest={digest_of(b'x')}"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {8 * MIB}\r\n\r\n".encode()
    with encrypted(registry, trusting(authority)) as connection:
        connection.sendall(head + bytes(3 * MIB))
        connection.settimeout(0.2)
        try:
            end(connection)
        except OSError:  # unwrap waits for the registry's own end, which comes with its answer
            connection.close()
    kit.wait_until(lambda: len(registry.records) == 1)
    assert registry.record().status == 400
    assert registry.files() == []


def test_a_broken_handshake_is_answered_by_an_alert_and_the_log_tells_of_it(
    serve: Serve, certificate: dict[str, Path], kit: Kit
) -> None:
    registry = serve(**certificate)
    alert = registry.raw(b"\x16\x03\x01\x00\x05hello")
    assert alert[:1] == b"\x15"  # a record of type "alert" (RFC 8446, section 5.1)
    kit.wait_until(lambda: any("broke off" in line for line in registry.lines))


def test_a_client_that_does_not_shake_hands_in_time_is_dropped(
    serve: Serve, certificate: dict[str, Path]
) -> None:
    registry = serve(**certificate, timeout=0.3)
    with registry.connect() as silent:
        assert silent.recv(1) == b""


def test_a_client_that_falls_silent_is_dropped(
    serve: Serve, certificate: dict[str, Path], authority: trustme.CA
) -> None:
    registry = serve(**certificate, timeout=2.0)
    with encrypted(registry, trusting(authority)) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\n")
        with pytest.raises(ssl.SSLError, match="EOF"):
            connection.recv(1)


def test_what_was_damaged_on_its_way_ends_the_connection(
    serve: Serve, certificate: dict[str, Path], authority: trustme.CA, kit: Kit
) -> None:
    registry = serve(**certificate)
    with encrypted(registry, trusting(authority)) as connection:
        os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            connection.recv(1)
    assert registry.records == []
