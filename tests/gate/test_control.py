"""Who may tell the gate what shall go wrong, and how long it keeps to that."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.gate.guard import Guard
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import RegistryServer, ServerSettings

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

RUN = Credentials("pytest", "the run's password")


@pytest.mark.parametrize("login", ["", "Basic eDp5", "Bearer x", "Bearer", "Bearer é", RUN.basic])
@pytest.mark.parametrize("kind", ["faults", "throttles"])
def test_only_who_has_the_gates_key_may_steer_it(gated: Gated, kind: str, login: str) -> None:
    rule = {"status": 500} if kind == "faults" else {"read": 1}
    body = json.dumps({"rule": rule, "scope": {}}).encode()
    path = f"/_pytest_registry/{kind}/x"
    told = 404 if login == RUN.basic else 401  # as of any path that nobody knows
    assert gated.ask("PUT", path, body, login=login).status == told
    assert [gated.ask("GET", gated.blob).status for _ in range(2)] == [200, 200]
    with held(gated, path, body) as status:
        assert status == 201
        refused = [gated.ask(method, path, login=login).status for method in ("GET", "DELETE")]
        assert set(refused) <= {told, 500}  # it meets the fault, as any path does
        assert [gated.ask("GET", gated.blob).status for _ in range(2)][1] in (500, 429)


@contextlib.contextmanager
def held(gated: Gated, path: str, rule: bytes) -> Iterator[int]:
    """A rule as long as its connection lasts, which owes one byte of its body."""
    connection = http.client.HTTPConnection(gated.server.host, timeout=30)
    headers = {"Authorization": f"Bearer {gated.key}", "Content-Length": str(len(rule) + 1)}
    connection.request("PUT", path, rule, headers)
    try:
        yield connection.getresponse().status
    finally:
        connection.close()


DYING = """
import os, sys
from pytest_registry.gate.fault import Fault, Scope
from pytest_registry.gate.remote import Reach, RemoteGate
from pytest_registry.gate.throttle import Throttle

gate = RemoteGate(Reach(*sys.argv[1:], lambda: None, lambda _: None))
with gate.fault(Fault(status=500), Scope()), gate.throttle(Throttle(write=1), Scope()):
    print("in force", flush=True)
    sys.stdin.read()
    os._exit(1)
"""


def test_what_a_process_asked_for_ends_with_it_however_it_ends(gated: Gated) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DYING, gated.server.host, gated.key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in force\n"
        assert gated.ask("GET", gated.blob).status == 500
        process.kill()
    deadline = time.monotonic() + 30
    while gated.ask("GET", gated.blob).status == 500:
        assert time.monotonic() < deadline
    uploads = "/v2/team/app/blobs/uploads/"
    while 429 in [gated.ask("POST", uploads).status for _ in range(2)]:
        assert time.monotonic() < deadline


def test_a_rule_outlives_the_servers_patience_with_silent_clients(
    gated: Gated, tmp_path: Path
) -> None:
    guard = Guard(ServerSettings(timeout=1.0), RUN, tmp_path / "silent.jsonl")
    with RegistryServer(guard.settings) as server:
        silent = type(gated)(server, tmp_path / "silent.jsonl", guard.gate.key)
        with silent.fault(status=500):
            time.sleep(2.5)
            assert silent.ask("GET", "/v2/").status == 500
    guard.close()


def test_what_tells_the_gate_is_not_in_the_log(gated: Gated) -> None:
    with gated.fault(on="HEAD", status=500):
        pass
    assert gated.requests == []


@pytest.mark.parametrize("rule", [{"status": 1}, {"nonsense": 1}, [], {"on": "blobs", "status": 1}])
def test_a_rule_that_cannot_be_is_refused_by_the_server_too(gated: Gated, rule: object) -> None:
    body = json.dumps({"rule": rule, "scope": {}}).encode()
    with held(gated, "/_pytest_registry/faults/x", body) as status:
        assert status == 400
