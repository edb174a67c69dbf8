"""The server's own life: start, stop, accounts, TLS, and what it tells of its requests."""

from __future__ import annotations

import base64
import errno
import fcntl
import hmac
import http.client
import os
import socket
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.errors import StateError
from pytest_registry.oci.names import digest_of
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import (
    Account,
    ApiError,
    Challenge,
    Code,
    Proceed,
    RegistryServer,
    Request,
    RequestRecord,
    Response,
    ServerSettings,
)
from pytest_registry.server import server as server_module

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit, Serve

CREDENTIALS = Credentials("someone", "pa:ss w\u00f6rd")


# Starting and stopping ---------------------------------------------------------------------------


def test_it_is_bound_before_it_serves_and_free_after() -> None:
    before = set(threading.enumerate())
    with RegistryServer(ServerSettings()) as server:
        assert server.url == f"http://{server.host}" == f"http://127.0.0.1:{server.port}"
        with socket.create_connection(("127.0.0.1", server.port)):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    server.close()  # again: nothing happens
    assert not [each for each in {*threading.enumerate()} - before if each.name == "registry"]


def test_a_child_that_was_forked_keeps_neither_its_port_nor_its_storage(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with RegistryServer(ServerSettings(storage=tmp_path)) as server:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)  # until the other end is closed
            os._exit(0)
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        RegistryServer(ServerSettings(storage=tmp_path)).close()
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)


def test_a_storage_without_locks_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StateError, match=r"no working locks .*No locks available"):
        RegistryServer(ServerSettings(storage=tmp_path))


def test_nobody_beyond_this_machine_reaches_it() -> None:
    server = RegistryServer(ServerSettings())
    try:
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        port = f":{server.port:04X}"
        local = [line.split()[1] for line in listening.splitlines() if line.split()[3] == "0A"]
        assert [address for address in local if address.endswith(port)] == [f"0100007F{port}"]
    finally:
        server.close()


def test_it_serves_in_the_callers_thread_until_it_is_stopped() -> None:
    server = RegistryServer(ServerSettings())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/v2/")
    assert connection.getresponse().status == 200
    server.stop()
    thread.join(10)
    assert not thread.is_alive()
    server.close()
    connection.close()


def test_closing_cuts_connections_and_drops_uploads(serve: Serve, kit: Kit) -> None:
    registry = serve()
    with registry.connect() as idle, registry.connect() as busy:
        head = f"POST /v2/a/blobs/uploads/?digest={digest_of(b'x')} HTTP/1.1\r\nHost: x\r\n"
        busy.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + bytes(50_000))
        kit.wait_until(lambda: registry.files() != [])
        registry.server.close()
        assert idle.recv(1) == b""
    assert registry.files() == []


def test_a_handler_that_stands_still_keeps_no_other_connection_from_being_cut(
    serve: Serve, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_CLOSE_SECONDS", 60.0)
    inside, go_on = threading.Event(), threading.Event()

    def stand_still(request: Request, proceed: Proceed) -> Response:
        if request.method == "HEAD":
            inside.set()
            go_on.wait(60)
        return proceed(request)

    registry = serve(interceptor=stand_still)
    with registry.connect() as busy:
        busy.sendall(b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert inside.wait(10)
        idle = registry.connect()
        idle.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")  # so it was accepted
        closing = threading.Thread(target=registry.server.close)
        closing.start()
        try:
            assert kit.read_all(idle) == b""  # or it times out
        finally:
            idle.close()
            go_on.set()
            closing.join()


def test_a_port_in_use_is_an_error(registry: Asked) -> None:
    with pytest.raises(OSError, match="in use"):
        RegistryServer(ServerSettings(port=registry.server.port))


def test_it_serves_on_ipv6() -> None:
    try:
        server = RegistryServer(ServerSettings(host="::1"))
    except OSError:
        pytest.skip("this machine has no ::1")
    with server:
        assert server.host == f"[::1]:{server.port}"
        connection = http.client.HTTPConnection("::1", server.port)
        connection.request("POST", "/v2/a/blobs/uploads/")
        location = connection.getresponse().headers["Location"]
        assert location.startswith(f"{server.url}/v2/a/blobs/uploads/")
        connection.close()


# Accounts ----------------------------------------------------------------------------------------


def test_the_runs_credentials_are_let_in(serve: Serve) -> None:
    registry = serve(credentials=CREDENTIALS)
    answer = registry.ask("GET", "/v2/", authorization=CREDENTIALS.basic)
    assert answer.status == 200
    answer = registry.ask("GET", "/v2/", authorization=CREDENTIALS.basic.replace("B", "b", 1))
    assert answer.status == 200
    assert {record.account for record in registry.records} == {"someone"}


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic " + base64.b64encode(b"someone:").decode(),
        "Basic " + base64.b64encode(b"someone:pa:ss").decode(),
        "Basic " + base64.b64encode(b"other:pa:ss w\xc3\xb6rd").decode(),
        CREDENTIALS.basic.swapcase(),
        CREDENTIALS.basic.replace("Basic", "Bearer"),
        CREDENTIALS.basic + "x",
        CREDENTIALS.basic[:-1],
        "\u00ff\u00fe",
    ],
)
def test_anybody_else_is_refused(authorization: str, serve: Serve) -> None:
    registry = serve(credentials=CREDENTIALS)
    registry.raw(
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n".encode("latin-1")
    )
    assert (registry.record().status, registry.record().account) == (401, None)


@pytest.mark.parametrize("right", [True, False])
def test_passwords_are_compared_in_constant_time(
    right: bool, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    registry = serve(credentials=CREDENTIALS)
    given = CREDENTIALS.basic if right else CREDENTIALS.basic[:-1] + "!"
    answer = registry.ask("GET", "/v2/", authorization=given)
    # Had they been compared otherwise, this would have decided nothing.
    assert answer.status == (200 if right else 401)
    expected = CREDENTIALS.basic.split()[1].encode()
    assert compared == [(given.split()[1].encode(), expected)]
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: not right)
    answer = registry.ask("GET", "/v2/", authorization=given)
    assert answer.status == (401 if right else 200)


def test_an_authenticator_may_be_ones_own(serve: Serve) -> None:
    class Passphrase:
        def authenticate(self, request: Request) -> Account | Challenge:
            if request.header("x-word") == "sesame":
                return Account("ali")
            return Challenge("Word", "say the word")

    registry = serve(authenticator=Passphrase())
    answer = registry.ask("GET", "/v2/")
    assert (answer.status, answer["WWW-Authenticate"]) == (401, "Word")
    assert answer.json["errors"][0]["detail"] == "say the word"
    assert registry.ask("GET", "/v2/", x_word="sesame").status == 200
    assert registry.record().account == "ali"


# What it tells -----------------------------------------------------------------------------------


def test_every_request_is_recorded_once(serve: Serve, blob: bytes) -> None:
    registry = serve(credentials=CREDENTIALS)
    digest = digest_of(blob)
    before = time.time()
    headers = {"Authorization": CREDENTIALS.basic, "User-Agent": "me/1.0"}
    path = f"/v2/a/b/blobs/uploads/?digest={digest}"
    assert registry.ask("POST", path, blob, headers).status == 201
    assert registry.ask("GET", f"/v2/a/b/blobs/{digest}", None, headers).status == 200
    push, pull = registry.records
    assert push == RequestRecord(
        method="POST",
        route="upload",
        path="/v2/a/b/blobs/uploads/",
        repository="a/b",
        reference="",
        status=201,
        bytes_in=len(blob),
        bytes_out=0,
        started=push.started,
        seconds=push.seconds,
        user_agent="me/1.0",
        account="someone",
        client=push.client,
    )
    assert before - 1 < push.started < time.time() + 1
    assert 0 < push.seconds < 60
    assert (pull.route, pull.reference, pull.bytes_out) == ("blob", digest, len(blob))


@pytest.mark.parametrize("size", [0, 1, 600_000])
def test_whoever_has_an_answer_finds_its_record(size: int, registry: Asked) -> None:
    path = f"/v2/a/blobs/{registry.push_blob('a', bytes(size))}"
    for number in range(2, 102):
        registry.ask("HEAD" if number % 3 else "GET", path)
        assert len(registry.records) == number


def test_the_log_holds_no_secret_and_no_control_character(serve: Serve) -> None:
    registry = serve(credentials=CREDENTIALS)
    headers = {"Authorization": CREDENTIALS.basic, "User-Agent": "agent\x9b31m"}
    registry.ask("GET", "/v2/a%0aforged%1b/tags/list?token=secret", None, headers)
    registry.record()
    (line,) = registry.lines
    assert "GET /v2/a\\nforged\\x1b/tags/list 400 in=0 out=" in line
    assert "agent\\x9b31m" in line
    assert line.isprintable()
    for secret in ("secret", CREDENTIALS.password, CREDENTIALS.basic.split()[1]):
        assert secret not in line


def test_an_interceptor_stands_before_every_handler(serve: Serve) -> None:
    seen: list[tuple[str, str, str | None]] = []

    def intercept(request: Request, proceed: Proceed) -> Response:
        account = None if request.account is None else request.account.name
        seen.append((request.route, request.repository, account))
        if request.header("x-do") == "refuse":
            raise ApiError(Code.TOOMANYREQUESTS, headers={"Retry-After": "3"})
        if request.header("x-do") == "break":
            raise ConnectionAbortedError
        if request.header("x-do") == "fail":
            raise RuntimeError("a bug")
        response = proceed(request)
        return Response(response.status, {**response.headers, "X-Seen": "yes"}, response.body)

    registry = serve(interceptor=intercept, credentials=CREDENTIALS)
    login = {"Authorization": CREDENTIALS.basic}
    for headers, status in (
        (login, 404),
        ({}, 401),
        ({**login, "X-Do": "refuse"}, 429),
        ({**login, "X-Do": "fail"}, 500),
    ):
        answer = registry.ask("GET", "/v2/a/tags/list", None, headers)
        assert answer.status == status
        assert answer["X-Seen"] == ("yes" if status < 429 else None)
        # "A 429 Too Many Requests response SHOULD include a Retry-After header" ("Error Codes")
        assert answer["Retry-After"] == ("3" if status == 429 else None)
    assert answer.json["errors"][0]["code"] == "UNKNOWN"
    with pytest.raises(http.client.RemoteDisconnected):
        registry.ask("GET", "/v2/a/tags/list", None, {**login, "X-Do": "break"})
    assert set(seen) == {("tags", "a", "someone"), ("tags", "a", None)}
    assert any("RuntimeError: a bug" in line for line in registry.lines)
    assert registry.ask("GET", "/v2/", None, login).status == 200


def test_a_body_may_lie_about_its_length(serve: Serve, blob: bytes) -> None:
    """Faults need it: a wrong Content-Length, and a body that breaks off."""

    def intercept(request: Request, proceed: Proceed) -> Response:
        response = proceed(request)
        return response.with_({"Content-Length": "4000"}) if request.route == "blob" else response

    registry = serve(interceptor=intercept)
    digest = registry.push_blob("a", blob)
    with pytest.raises(http.client.IncompleteRead):
        registry.ask("GET", f"/v2/a/blobs/{digest}", connection="close")
