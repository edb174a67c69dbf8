"""Registries to be a client of: ours, Debian's docker-registry, and one that follows a script."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.clients.retries import RetryPolicy
from pytest_registry.errors import TransferError
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import RegistryServer, ServerSettings
from tests.conftest import free_port

SERVERS = ("embedded", "docker-registry")
CREDENTIALS = Credentials("someone", "a-password-that-no-message-holds")
STARTS_WITHIN_SECONDS = 20.0
QUICK = RetryPolicy(tries=3, delay=0.01, patience=0.3)


@dataclass(frozen=True)
class Served:
    """A registry that serves: which, and where."""

    kind: str
    url: str
    credentials: Credentials = CREDENTIALS

    @property
    def is_embedded(self) -> bool:
        return self.kind == "embedded"


@pytest.fixture(scope="session", params=SERVERS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    if request.param == "embedded":
        settings = ServerSettings(
            storage=tmp_path_factory.mktemp("embedded"), credentials=CREDENTIALS
        )
        with RegistryServer(settings) as server:
            yield Served("embedded", server.url)
        return
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("there is no docker-registry command here (Debian's package of that name)")
    with docker_registry(program, tmp_path_factory.mktemp("docker-registry")) as url:
        yield Served("docker-registry", url)


class docker_registry:  # noqa: N801 - used as a function
    """Debian's registry on a free port, with deletion and a login."""

    def __init__(self, program: str, directory: Path) -> None:
        self._port = free_port()
        config = directory / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {}\nhttp: {}\n"
        )
        password_file = directory / "htpasswd"
        password_file.write_text(CREDENTIALS.htpasswd())
        environment = {
            **os.environ,
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(directory / "content"),
            "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            "REGISTRY_HTTP_ADDR": f"127.0.0.1:{self._port}",
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "tests",
            "REGISTRY_AUTH_HTPASSWD_PATH": str(password_file),
        }
        self._process = subprocess.Popen(
            [program, "serve", str(config)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> str:
        url = f"http://127.0.0.1:{self._port}"
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        with OciClient(url, CREDENTIALS) as client:
            while True:
                try:
                    client.ping()
                except TransferError:
                    assert self._process.poll() is None, "docker-registry ended at once"
                    assert time.monotonic() < deadline, "docker-registry does not answer"
                    time.sleep(0.05)
                else:
                    return url

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def client(served: Served) -> Iterator[OciClient]:
    with OciClient(served.url, served.credentials) as client:
        yield client


@pytest.fixture
def repository() -> str:
    """A repository that no other test uses."""
    return f"tests/{uuid.uuid4().hex[:12]}"


# A server that follows a script -----------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A request that the scripted server received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]

    @property
    def login(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Reply:
    """What it answers; `drop` ends the connection after `body`, which may be too short."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drop: bool = False


Script = Callable[[Seen], Reply]


def in_turn(*replies: Reply) -> Script:
    """Each reply once, the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


class ScriptedServer(http.server.ThreadingHTTPServer):
    """Answers what its script says, and remembers what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[Seen] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """Clients end connections as they like: that is what many tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, method: str, part: str = "") -> list[Seen]:
        return [each for each in self.seen if each.method == method and part in each.path]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body, self.client_address)
        self.server.seen.append(seen)
        self._answer(self.server.script(seen))

    def _answer(self, reply: Reply) -> None:
        if reply.status:
            self.send_response(reply.status)
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        if reply.drop or not reply.status:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def scripted() -> Iterator[Callable[[Script], ScriptedServer]]:
    """Starts servers that follow a script: a function from request to reply."""
    servers: list[tuple[ScriptedServer, threading.Thread]] = []

    def start(script: Script) -> ScriptedServer:
        server = ScriptedServer(script)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def connect() -> Iterator[Callable[..., OciClient]]:
    """Makes clients that do not wait long, and closes them."""
    clients: list[OciClient] = []

    def make(
        url: str, credentials: Credentials | None = None, *, retries: RetryPolicy = QUICK
    ) -> OciClient:
        clients.append(OciClient(url, credentials, retries=retries, timeout=20.0))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def ask(
    scripted: Callable[[Script], ScriptedServer], connect: Callable[..., OciClient]
) -> Callable[[Script], tuple[OciClient, ScriptedServer]]:
    """A client of a script."""

    def start(script: Script) -> tuple[OciClient, ScriptedServer]:
        server = scripted(script)
        return connect(server.url), server

    return start


@pytest.fixture
def reply() -> type[Reply]:
    """The class of a script's replies."""
    return Reply
