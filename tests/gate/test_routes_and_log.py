"""Which requests a fault can name, and all that is written down of each."""

from __future__ import annotations

import http.client
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.gate.guard import Guard
from pytest_registry.gate.log import RequestLog
from pytest_registry.oci.media_types import OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.report.selector import METHODS, ROUTES
from pytest_registry.report.traffic import read_requests
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Account, RegistryServer, Request, RequestRecord, ServerSettings

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

WORKER = Credentials("pytest-gw1", "the run's password")
DIGEST = digest_of(bytes(range(256)) * 1000)
UPLOADS = "/v2/team/app/blobs/uploads/"

ASKED = {
    "GET blob": f"/v2/team/app/blobs/{DIGEST}",
    "HEAD blob": f"/v2/team/app/blobs/{DIGEST}",
    "DELETE blob": f"/v2/team/app/blobs/{DIGEST}",
    "GET manifest": "/v2/team/app/manifests/latest",
    "HEAD manifest": "/v2/team/app/manifests/latest",
    "PUT manifest": "/v2/team/app/manifests/latest",
    "DELETE manifest": "/v2/team/app/manifests/latest",
    "POST upload": UPLOADS,
    "PATCH upload": f"{UPLOADS}1",
    "PUT upload": f"{UPLOADS}1",
    "GET upload": f"{UPLOADS}1",
    "DELETE upload": f"{UPLOADS}1",
    "GET tags": "/v2/team/app/tags/list",
    "GET referrers": f"/v2/team/app/referrers/{DIGEST}",
    "GET catalog": "/v2/_catalog",
    "GET base": "/v2/",
}


@pytest.mark.parametrize("on", ASKED)
def test_a_fault_on_a_method_and_route_meets_these_requests_and_no_others(
    gated: Gated, on: str
) -> None:
    with gated.fault(on=on, status=503):
        met = [
            each for each, path in ASKED.items() if gated.ask(each.split()[0], path).status == 503
        ]
    assert met == [on]


@pytest.mark.parametrize("on", [*METHODS, *sorted({*ROUTES} - {"token"})])
def test_a_fault_on_a_method_or_a_route_meets_all_of_it(gated: Gated, on: str) -> None:
    with gated.fault(on=on, status=503):
        met = {
            each for each, path in ASKED.items() if gated.ask(each.split()[0], path).status == 503
        }
    assert met == {each for each in ASKED if on in each.split()}


def test_every_route_that_can_be_named_was_asked() -> None:
    """`token` has a file of its own."""
    assert {each.split()[1] for each in ASKED} | {"token"} == {*ROUTES}
    assert {each.split()[0] for each in ASKED} == {*METHODS}


def test_all_that_is_noted_of_a_request(gated: Gated) -> None:
    content = os.urandom(5000)
    digest = digest_of(content)
    before = time.time()
    path = f"{UPLOADS}?digest={digest}"
    mine = gated.as_(WORKER)
    assert mine.ask("POST", path, content, user_agent="tool/1.2 (x)").status == 201
    with gated.fault(on="GET blob", delay=0.2):
        mine.ask("GET", f"/v2/team/app/blobs/{digest}", range="bytes=0-99")
    mine.ask("GET", "/v2/team/app/manifests/latest", accept=OCI_MANIFEST, login="")
    pushed, pulled, refused = gated.requests
    assert (pushed.method, pushed.route, pushed.path) == ("POST", "upload", UPLOADS)
    assert (pushed.repository, pushed.digest, pushed.status) == ("team/app", digest, 201)
    assert (pushed.bytes_in, pushed.bytes_out) == (5000, 0)
    assert (pushed.user_agent, pushed.account, pushed.worker) == (
        "tool/1.2 (x)",
        "pytest-gw1",
        "gw1",
    )
    assert before - 1 <= pushed.started <= pushed.ended <= time.time() + 1
    assert (pulled.method, pulled.route, pulled.reference) == ("GET", "blob", digest)
    assert (pulled.status, pulled.bytes_in, pulled.bytes_out) == (206, 0, 100)
    assert 0.2 <= pulled.seconds < 30
    assert pulled.fault == "fault: delay 0.2 s"
    assert (refused.route, refused.reference, refused.status) == ("manifest", "latest", 401)
    assert (refused.account, refused.worker) == ("", "")


def test_a_request_whose_accounts_cannot_be_read_is_not_told_as_the_one_before(
    tmp_path: Path,
) -> None:
    class FirstOnly:
        asked = 0

        def authenticate(self, _: Request) -> Account:
            self.asked += 1
            if self.asked > 1:
                raise OSError("no disk")
            return Account("somebody")

    settings = ServerSettings(authenticator=FirstOnly(), access_log=False)
    guard = Guard(settings, WORKER, tmp_path / "log")
    with RegistryServer(guard.settings) as server:
        connection = http.client.HTTPConnection(server.host, timeout=30)
        for path in (f"{UPLOADS}?digest={DIGEST}", "/v2/"):
            connection.request("POST", path, b"")
            connection.getresponse().read()
        connection.close()
    guard.close()
    first, second = read_requests(tmp_path / "log")
    assert (first.account, first.digest) == ("somebody", DIGEST)
    assert (second.status, second.path, second.digest) == (500, "/v2/", "")


def test_a_request_that_ends_after_the_log_is_written_into_nobodys_file(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log")
    log.close()
    others = [(tmp_path / str(number)).open("wb") for number in range(8)]
    record = RequestRecord(
        method="GET",
        route="base",
        path="/v2/",
        repository="",
        reference="",
        status=200,
        bytes_in=0,
        bytes_out=2,
        started=1.0,
        seconds=0.1,
        user_agent="",
        account=None,
        client="127.0.0.1:1",
    )
    with pytest.raises(OSError, match="Bad file descriptor"):
        log.add(record, "", {})
    assert [os.fstat(each.fileno()).st_size for each in others] == [0] * 8
    for each in others:
        each.close()


def test_neither_a_query_nor_a_login_is_written_down(gated: Gated) -> None:
    secret = "s3cret-" + os.urandom(8).hex()
    gated.ask("GET", f"/v2/team/app/tags/list?last={secret}")
    gated.ask("GET", "/v2/", login=f"Bearer {secret}")
    gated.ask("GET", "/v2/", login=Credentials("somebody", secret).basic)
    gated.ask("POST", f"{UPLOADS}?digest={DIGEST}&from={secret}", x_token=secret, cookie=secret)
    written = gated.log.read_text()
    assert len(written.splitlines()) == 4
    assert secret not in written
    assert Credentials("somebody", secret).basic.partition(" ")[2] not in written
    assert {"path", "status", "account"} <= json.loads(written.splitlines()[0]).keys()


def test_the_runs_password_does_not_stand_in_the_log_as_a_user_agent(gated: Gated) -> None:
    password = gated.credentials.password
    for agent in (f"tool/1 ({password})", f"tool/1 {gated.credentials.basic}", "tool/1 (x)"):
        gated.ask("GET", "/v2/", user_agent=agent)
    first, second, third = (each.user_agent for each in gated.requests)
    assert (first, third) == ("tool/1 (***)", "tool/1 (x)")
    assert second.startswith("tool/1 Basic ")
    assert "***" in second
    assert password not in gated.log.read_text()
