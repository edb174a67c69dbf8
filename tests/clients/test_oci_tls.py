"""TLS, and what importing the client costs."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.clients.retries import RetryPolicy
from pytest_registry.errors import TransferError
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.server import RegistryServer, ServerSettings

trustme = pytest.importorskip("trustme", reason="makes the certificates of these tests")


@dataclass(frozen=True)
class Files:
    """Paths of PEM files."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    found = Files(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")
    authority.cert_pem.write_to_path(str(found.ca))
    issued.private_key_pem.write_to_path(str(found.key))
    found.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    return found


@pytest.fixture
def url(files: Files) -> Iterator[str]:
    with RegistryServer(ServerSettings(certificate=files.certificate, key=files.key)) as server:
        yield server.url


def test_a_ca_of_ones_own_is_trusted_where_it_is_named(url: str, files: Files) -> None:
    image = synthetic_image(1, layers=3, layer_size=3 << 20)
    with OciClient(url, ca_file=files.ca) as client:
        client.push(image, "a", "1")
        assert client.pull("a", "1") == image.root()
    registry = url.removeprefix("https://")
    with OciClient.for_registry(registry, ca_file=files.ca) as client:
        assert client.exists("a", "1")


def test_connections_leave_alone_what_others_connect_with_at_that_time(
    url: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[list[str]] = []
    set_alpn_protocols = ssl.SSLContext.set_alpn_protocols

    def offer(context: ssl.SSLContext, protocols: list[str]) -> None:
        offered.append(protocols)
        set_alpn_protocols(context, protocols)

    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", offer)
    with OciClient(url, ca_file=files.ca) as client, ThreadPoolExecutor(4) as threads:
        everybody = threading.Barrier(4)

        def ask(_: int) -> None:
            everybody.wait()
            client.ping()

        list(threads.map(ask, range(4)))
    assert offered == [["http/1.1"]]


def test_a_connection_that_breaks_is_no_matter_of_certificates(files: Files) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    def serve(listener: socket.socket) -> None:
        for said in (b"", answer):
            accepted, _ = listener.accept()
            connection = context.wrap_socket(accepted, server_side=True)
            connection.recv(1 << 16)
            if said:
                connection.sendall(said)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with OciClient(url, ca_file=files.ca) as client:
            client.ping()
        thread.join()


def test_an_unknown_authority_is_told_with_what_to_do(url: str) -> None:
    with OciClient(url) as client, pytest.raises(TransferError, match=r"certificate(.|\n)*ca_file"):
        client.ping()


def test_a_client_certificate_is_shown_where_it_is_asked_for(files: Files) -> None:
    settings = ServerSettings(certificate=files.certificate, key=files.key, client_ca=files.ca)
    with RegistryServer(settings) as server:
        mine = (files.certificate, files.key)
        with OciClient(server.url, ca_file=files.ca, client_cert=mine) as client:
            client.ping()
        once = RetryPolicy(tries=1)
        with (
            OciClient(server.url, ca_file=files.ca, retries=once) as client,
            pytest.raises(TransferError),
        ):
            client.ping()


def test_a_ca_file_that_is_none_is_told(url: str, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pem", tmp_path / "empty.pem"):
        (tmp_path / "empty.pem").write_text("no certificate")
        with OciClient(url, ca_file=path) as client, pytest.raises(TransferError, match="ca_file"):
            client.ping()


def test_importing_the_client_imports_nothing_heavy() -> None:
    program = (
        "import sys, pytest_registry.clients.oci, pytest_registry.images.synthetic\n"
        "import pytest_registry.images.sources\n"
        "OciClient = pytest_registry.clients.oci.OciClient\n"
        "OciClient('http://127.0.0.1:1').close()\n"
        "heavy = ('urllib3', 'docker', 'requests', 'pytest', 'ssl', 'pytest_registry.server')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
