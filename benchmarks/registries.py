"""The registries that `embedded.py` compares, as processes, and the client that loads them.

The client speaks raw sockets, so that it is not what is measured; it is the same for all.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PEER = "docker-registry"
OURS = "embedded"
NGINX = "nginx"
IMAGE = "pytest-registry-ci/registry:2"
BLOCK = 1024 * 1024
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registry:
    """A server process that is being measured."""

    name: str
    port: int
    storage: Path
    process: subprocess.Popen[bytes]
    context: ssl.SSLContext | None = None
    start_seconds: float = 0.0
    results: dict[str, list[float]] = field(default_factory=dict)

    def connect(self) -> socket.socket:
        """A connection to it."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context is None:
            return connection
        return self.context.wrap_socket(connection, server_hostname="127.0.0.1")

    def note(self, name: str, value: float) -> None:
        """Keep one round's figure."""
        self.results.setdefault(name, []).append(value)

    def drop_large_contents(self) -> None:
        """Delete the large files of its storage, whichever registry it is.

        Otherwise every round writes into memory that this machine never touched before, and what
        is measured is how fast a hypervisor hands it out (200 MB/s where these figures come from).
        """
        for path in self.storage.rglob("*"):
            if path.is_file() and path.stat().st_size >= BLOCK:
                path.unlink()

    def resident(self) -> float:
        """Its resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024 / 1e6


@dataclass(frozen=True)
class Certificate:
    """Files for TLS on 127.0.0.1, and a context that trusts their authority."""

    certificate: Path
    key: Path
    authority: Path
    context: ssl.SSLContext

    @classmethod
    def make(cls, directory: Path) -> Certificate:
        """A fresh authority and a certificate of it."""
        import trustme

        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        certificate, key = directory / "cert.pem", directory / "key.pem"
        trusted = directory / "ca.pem"
        authority.cert_pem.write_to_path(trusted)
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return cls(certificate, key, trusted, context)


def request(connection: socket.socket, head: str, body: memoryview | None = None) -> bytes:
    """Send a request without waiting; returns the answer's head."""
    connection.sendall(head.encode() + b"Host: 127.0.0.1\r\n\r\n")
    if body is not None:
        for start in range(0, len(body), BLOCK):
            connection.sendall(body[start : start + BLOCK])
    received = b""
    while b"\r\n\r\n" not in received:
        block = connection.recv(BLOCK)
        if not block:
            raise ConnectionError(f"no answer to {head!r}")
        received += block
    return received


def header(answer: bytes, name: str) -> str:
    """A header of an answer."""
    for line in answer.decode("latin-1").split("\r\n"):
        if line.lower().startswith(f"{name.lower()}:"):
            return line.partition(":")[2].strip()
    raise LookupError(f"no {name} in {answer[:300]!r}")


def push(registry: Registry, repository: str, body: memoryview, digest: str) -> None:
    """POST, then PUT."""
    with registry.connect() as connection:
        started = request(
            connection,
            f"POST /v2/{repository}/blobs/uploads/ HTTP/1.1\r\nContent-Length: 0\r\n",
        )
        location = header(started, "location").partition("/v2/")[2]
        mark = "&" if "?" in location else "?"
        answer = request(
            connection,
            f"PUT /v2/{location}{mark}digest={digest} HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: application/octet-stream\r\n",
            body,
        )
    if not answer.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(f"{registry.name} answered {answer[:300]!r}")


def pull(registry: Registry, repository: str, digest: str) -> None:
    """GET, and forget what comes."""
    with registry.connect() as connection:
        answer = request(connection, f"GET /v2/{repository}/blobs/{digest} HTTP/1.1\r\n")
        head, _, early = answer.partition(b"\r\n\r\n")
        left = int(header(head, "content-length")) - len(early)
        buffer = bytearray(BLOCK)
        while left > 0:
            count = connection.recv_into(buffer, min(BLOCK, left))
            if not count:
                raise ConnectionError("the blob ended early")
            left -= count


def pull_with_curl(registry: Registry, authority: Path, repository: str, digest: str) -> None:
    """GET over TLS as container tools do: by HTTP/2 where the registry offers it."""
    url = f"https://127.0.0.1:{registry.port}/v2/{repository}/blobs/{digest}"
    command = ["curl", "--silent", "--fail", "--cacert", str(authority), "--output", os.devnull]
    subprocess.run([*command, url], check=True)


def heads(port: int, connections: int, seconds: float, path: str) -> float:
    """HEAD requests per second over kept connections, each sending as soon as it was answered."""
    message = f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {MANIFEST_TYPE}\r\n\r\n".encode()
    sockets = {}
    poll = select.epoll()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
        connection.send(message)
    answered, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        for number, _ in poll.poll(1):
            connection = sockets[number]
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(b"\r\n\r\n"):
                raise RuntimeError(f"unexpected answer {answer[:300]!r}")
            answered += 1
            connection.send(message)
    for connection in sockets.values():
        connection.close()
    poll.close()
    return answered / elapsed


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_first_answer(registry: Registry) -> None:
    """Return as soon as `/v2/` answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with registry.connect() as connection:
                if request(connection, "GET /v2/ HTTP/1.1\r\n").startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            time.sleep(0.0005)
    raise TimeoutError(f"{registry.name} does not answer")


def ours_command(port: int, storage: Path, tls: Certificate | None) -> list[str]:
    """How the embedded registry is started."""
    command = [sys.executable, "-m", "pytest_registry", "serve"]
    command += ["--port", str(port), "--storage", str(storage)]
    if tls is not None:
        command += ["--tls-certificate", str(tls.certificate), "--tls-key", str(tls.key)]
    return command


def peer_command(port: int, storage: Path, tls: Certificate | None) -> list[str]:
    """How the peer is started: filesystem driver, no accounts, quiet."""
    storage.mkdir(parents=True, exist_ok=True)
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}"}
    if tls is not None:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    configuration = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
        },
        "http": http,
    }
    path = storage / "config.yml"
    path.write_text(json.dumps(configuration))  # YAML reads JSON
    return ["docker-registry", "serve", str(path)]


def nginx_command(port: int, storage: Path, tls: Certificate | None) -> list[str]:
    """An nginx that serves files laid out as a registry's paths."""
    assert tls is None
    (storage / "v2").mkdir(parents=True)
    (storage / "v2" / "index.html").write_text("{}")
    temporary = "".join(
        f"{name}_temp_path {storage}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (storage / "nginx.conf").write_text(
        f"daemon off; pid {storage}/nginx.pid; error_log {storage}/error.log; user root;"
        f"worker_processes 2; events {{}} http {{ access_log off; sendfile on; {temporary}"
        f"server {{ listen 127.0.0.1:{port}; root {storage}; }} }}"
    )
    return ["nginx", "-c", str(storage / "nginx.conf")]


def container_start() -> float:
    """Seconds from spawning `docker run` of the peer's image to its first answer."""
    port = free_port()
    command = ["docker", "run", "--detach", "--publish", f"127.0.0.1:{port}:5000", IMAGE]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        # Asked before it runs, docker's proxy would knock at a closed door, and again a second on.
        container = process.communicate()[0].decode().strip()
        wait_for_first_answer(Registry(IMAGE, port, Path(), process))
        seconds = time.perf_counter() - started
    remove = ["docker", "rm", "--force", "--volumes", container]
    subprocess.run(remove, check=True, capture_output=True)
    time.sleep(0.5)  # the kernel still takes its network away, which would disturb what follows
    return seconds


COMMANDS = {PEER: peer_command, OURS: ours_command, NGINX: nginx_command}


def environment_with_bytecode(directory: Path) -> dict[str, str]:
    """This environment, but compiled modules are kept: an installed package has them, too."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(directory / "bytecode")}


@contextlib.contextmanager
def running(name: str, directory: Path, tls: Certificate | None = None) -> Iterator[Registry]:
    """Start a registry, with the seconds from spawning it to its first answer; end it after."""
    port = free_port()
    storage = directory / f"{name}-{port}"
    command = COMMANDS[name](port, storage, tls)
    context = None if tls is None else tls.context
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment_with_bytecode(directory),
    )
    try:
        registry = Registry(name, port, storage, process, context)
        wait_for_first_answer(registry)
        registry.start_seconds = time.perf_counter() - started
        yield registry
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(storage, ignore_errors=True)
