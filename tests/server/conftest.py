"""A registry to ask, and a client that keeps nothing from the test: every status, every byte."""

from __future__ import annotations

import errno
import http.client
import io
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_registry.oci.media_types import OCI_EMPTY, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.server import RegistryServer, RequestRecord, ServerSettings

EMPTY = b"{}"


@dataclass(frozen=True)
class Answer:
    """What the registry said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The error codes of the body."""
        return [error["code"] for error in self.json["errors"]]

    def __getitem__(self, header: str) -> str | None:
        return self.headers[header]

    @property
    def path(self) -> str:
        """The path and query of its Location."""
        location = self.headers["Location"]
        assert location is not None
        return "/" + location.partition("://")[2].partition("/")[2]


@dataclass
class Asked:
    """A registry that serves in this process, with everything that it told about itself."""

    server: RegistryServer
    storage: Path | None
    records: list[RequestRecord] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: str,
    ) -> Answer:
        """One request on a connection of its own. `content_type=...` makes `Content-Type`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in more.items()}
            connection.request(method, path, body, {**(headers or {}), **named})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=30)

    def raw(self, data: bytes, *, half_close: bool = True) -> bytes:
        """Send bytes, and read until the registry closes."""
        with self.connect() as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def push_blob(self, repository: str, content: bytes, algorithm: str = "sha256") -> str:
        """Push a blob in one request; returns its digest."""
        digest = digest_of(content, algorithm)
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
        assert answer.status == 201, answer
        return digest

    def start_upload(self, repository: str, query: str = "") -> str:
        """Open a session; returns its path."""
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/{query}")
        assert answer.status == 202, answer
        return answer.path

    def push_manifest(
        self, repository: str, reference: str, content: bytes, media_type: str = OCI_MANIFEST
    ) -> Answer:
        """Push a manifest, whatever comes of it."""
        path = f"/v2/{repository}/manifests/{reference}"
        return self.ask("PUT", path, content, content_type=media_type)

    def push_image(self, repository: str, reference: str = "latest", **members: Any) -> str:
        """Push the smallest image there is, with more members if wanted; returns its digest."""
        self.push_blob(repository, EMPTY)
        content = image(**members)
        answer = self.push_manifest(repository, reference, content)
        assert answer.status == 201, answer
        return digest_of(content)

    def files(self) -> list[str]:
        """The contents on disk, whole or partial, as paths relative to the storage."""
        assert self.storage is not None
        found = [path for path in self.storage.rglob("*") if path.is_file()]
        return sorted(
            str(path.relative_to(self.storage))
            for path in found
            if path.name not in ("journal", "lock")
        )

    def record(self) -> RequestRecord:
        """What was recorded of the last request: it is there when the answer is."""
        return self.records[-1]


def descriptor(content: bytes, media_type: str = OCI_LAYER, **members: Any) -> dict[str, Any]:
    """A descriptor of some content."""
    return {
        "mediaType": media_type,
        "digest": digest_of(content),
        "size": len(content),
        **members,
    }


def image(**members: Any) -> bytes:
    """A manifest with an empty config and no layers, changed by `members`."""
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(EMPTY, OCI_EMPTY),
        "layers": [],
    }
    return json.dumps({**value, **members}).encode()


def index(*manifests: dict[str, Any], **members: Any) -> bytes:
    """An index of these descriptors."""
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    return json.dumps({**value, **members}).encode()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    received = b""
    while block := connection.recv(65536):
        received += block
    return received


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that happens soon in another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def full_disk(left: int) -> type[io.FileIO]:
    """Files on a disk with so many bytes left for each."""

    class OnFullDisk(io.FileIO):
        def write(self, data: object) -> int:
            view = memoryview(data)  # type: ignore[arg-type]
            if self.tell() >= left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(view[: max(1, left - self.tell())])

    return OnFullDisk


@dataclass(frozen=True)
class Kit:
    """What tests build requests and answers with."""

    image: Callable[..., bytes] = image
    index: Callable[..., bytes] = index
    descriptor: Callable[..., dict[str, Any]] = descriptor
    read_all: Callable[[socket.socket], bytes] = read_all
    wait_until: Callable[..., None] = wait_until
    full_disk: Callable[[int], type[io.FileIO]] = full_disk
    empty: bytes = EMPTY


@pytest.fixture(scope="session")
def kit() -> Kit:
    """Builders of manifests and other help."""
    return Kit()


Serve = Callable[..., Asked]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start registries with any settings; each is closed after the test."""
    open_servers: list[RegistryServer] = []

    def start(**settings: Any) -> Asked:
        storage = settings.setdefault("storage", tmp_path / "storage")
        records: list[RequestRecord] = []
        lines: list[str] = []
        settings.setdefault("observer", records.append)
        settings.setdefault("log", lines.append)
        server = RegistryServer(ServerSettings(**settings))
        server.start()
        open_servers.append(server)
        return Asked(server, storage, records, lines)

    yield start
    for server in open_servers:
        server.close()


@pytest.fixture(params=["disk", "memory"])
def anywhere(request: pytest.FixtureRequest, serve: Serve) -> Asked:
    """A registry without accounts, once on disk and once in memory."""
    return serve() if request.param == "disk" else serve(storage=None)


@pytest.fixture
def registry(serve: Serve) -> Asked:
    """A registry without accounts, on disk."""
    return serve()


@pytest.fixture
def blob() -> bytes:
    """Some bytes that no other test has."""
    return os.urandom(3000)
