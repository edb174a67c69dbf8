"""A registry behind a gate, in this process, and a client that hides nothing from the test."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_registry.gate.fault import Fault, Scope
from pytest_registry.gate.guard import Guard
from pytest_registry.gate.remote import ActiveFault, Reach, RemoteGate
from pytest_registry.gate.throttle import Throttle
from pytest_registry.oci.media_types import OCI_EMPTY, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.report.traffic import LoggedRequest, read_requests
from pytest_registry.security.accounts import Account, FixedAccounts
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import RegistryServer, ServerSettings
from pytest_registry.server.authentication import Basic

RUN = Credentials("pytest", "the run's password")
WORKER = Credentials("pytest-gw1", "the run's password")
OTHER = Credentials("somebody", "another password")
CONTENT = bytes(range(256)) * 1000
DIGEST = digest_of(CONTENT)


@dataclass(frozen=True)
class Answer:
    """What came, as far as it came: `broke` names what happened to the connection."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    broke: str = ""

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in json.loads(self.body)["errors"]]


@dataclass
class Gated:
    """A registry with a blob of 256,000 bytes and an image in the repository `team/app`."""

    server: RegistryServer
    log: Path
    key: str
    credentials: Credentials = RUN

    blob = f"/v2/team/app/blobs/{DIGEST}"
    manifest = "/v2/team/app/manifests/latest"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        host: str = "",
        login: str | None = None,
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own; raises what breaks before an answer."""
        connection = http.client.HTTPConnection(host or self.server.host, timeout=30)
        basic = base64.b64encode(
            f"{self.credentials.username}:{self.credentials.password}".encode()
        )
        login = f"Basic {basic.decode()}" if login is None else login
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if login:
            given["Authorization"] = login
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            try:
                return Answer(response.status, response.headers, response.read())
            except http.client.IncompleteRead as error:
                return Answer(response.status, response.headers, error.partial, "ended early")
            except ConnectionError:
                return Answer(response.status, response.headers, b"", "was reset")
        finally:
            connection.close()

    @property
    def control(self) -> RemoteGate:
        reach = Reach(self.server.host, self.key, lambda: None, lambda _: None)
        return RemoteGate(reach)

    def fault(
        self, scope: Scope | None = None, **fault: Any
    ) -> AbstractContextManager[ActiveFault]:
        return self.control.fault(Fault(**fault), scope or Scope())

    def throttle(self, scope: Scope | None = None, **throttle: Any) -> AbstractContextManager[None]:
        return self.control.throttle(Throttle(**throttle), scope or Scope())

    @property
    def requests(self) -> list[LoggedRequest]:
        return list(read_requests(self.log))

    def as_(self, credentials: Credentials) -> Gated:
        return Gated(self.server, self.log, self.key, credentials)


def image() -> bytes:
    """The smallest manifest with a layer."""
    config = {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2}
    layer = {"mediaType": "application/octet-stream", "digest": DIGEST, "size": len(CONTENT)}
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    return json.dumps(value).encode()


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    """See Gated. What was pushed at the beginning is not in the log."""
    known = FixedAccounts(tuple(map(Account.of_everything, (RUN, WORKER, OTHER))))
    log = tmp_path / "requests.jsonl"
    settings = ServerSettings(storage=tmp_path / "storage", authenticator=Basic(known))
    guard = Guard(settings, RUN, log)
    with RegistryServer(guard.settings) as server:
        found = Gated(server, log, guard.gate.key)
        for content in (b"{}", CONTENT):
            path = f"/v2/team/app/blobs/uploads/?digest={digest_of(content)}"
            assert found.ask("POST", path, content).status == 201
        assert found.ask("PUT", found.manifest, image(), content_type=OCI_MANIFEST).status == 201
        log.write_bytes(b"")
        yield found
    guard.close()


@pytest.fixture
def seconds() -> Callable[[Callable[[], object]], float]:
    """How long a call takes."""

    def measure(call: Callable[[], object]) -> float:
        began = time.monotonic()
        call()
        return time.monotonic() - began

    return measure
