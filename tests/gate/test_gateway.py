"""The gateway: what a client gets through it is what the registry behind it says."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.gate import origin
from pytest_registry.gate.forward import Forward, Named, Upstream
from pytest_registry.gate.guard import Guard
from pytest_registry.oci.names import digest_of
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import RegistryServer, ServerSettings

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

RUN = Credentials("pytest", "the run's password")
LENGTH = 256_000


@pytest.fixture
def through(gated: Gated, tmp_path: Path) -> Iterator[Gated]:
    """The same registry, behind a gateway with a gate of its own."""
    log = tmp_path / "gateway.jsonl"
    forward = Forward(Upstream(gated.server.host, None, RUN, workers=True))
    settings = ServerSettings(authenticator=Named())
    guard = Guard(settings, RUN, log, forward=forward)
    with RegistryServer(guard.settings) as server:
        yield type(gated)(server, log, guard.gate.key)
    guard.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/"),
        ("GET", "/v2/team/app/manifests/latest"),
        ("HEAD", "/v2/team/app/manifests/latest"),
        ("GET", "/v2/team/app/manifests/missing"),
        ("GET", "/v2/team/app/tags/list?n=1"),
        ("GET", "/v2/_catalog"),
        ("GET", "/nowhere"),
        ("PATCH", "/v2/team/app/manifests/latest"),
        ("GET", "/v2/Team/app/tags/list"),
        ("GET", "/v2/team%2Fapp/tags/list"),
    ],
)
def test_an_answer_comes_through_as_it_is(
    gated: Gated, through: Gated, method: str, path: str
) -> None:
    straight, passed = gated.ask(method, path), through.ask(method, path)
    assert (passed.status, passed.body) == (straight.status, straight.body)
    assert dict(passed.headers, Date="") == dict(straight.headers, Date="")


def test_a_blob_goes_both_ways_in_one_piece_or_in_chunks(through: Gated) -> None:
    content = os.urandom(3_000_000)
    digest = digest_of(content)
    begun = through.ask("POST", "/v2/team/new/blobs/uploads/")
    location = begun.headers["Location"]
    assert location.startswith(f"http://{through.server.host}/")
    path = location.partition(through.server.host)[2]
    headers = {"Authorization": RUN.basic, "Content-Type": "application/octet-stream"}
    connection = http.client.HTTPConnection(through.server.host, timeout=30)
    blocks = (content[start : start + 100_000] for start in range(0, len(content), 100_000))
    connection.request("PATCH", path, blocks, headers, encode_chunked=True)
    patched = connection.getresponse()
    patched.read()
    assert patched.status == 202
    path = patched.headers["Location"].partition(through.server.host)[2]
    connection.request("PUT", f"{path}?digest={digest}", headers=headers)
    finished = connection.getresponse()
    finished.read()
    assert finished.status == 201
    connection.close()
    assert through.ask("GET", f"/v2/team/new/blobs/{digest}").body == content
    part = through.ask("GET", f"/v2/team/new/blobs/{digest}", range="bytes=10-19")
    assert (part.status, part.body) == (206, content[10:20])


def test_the_registrys_own_login_is_asked_for(gated: Gated, through: Gated) -> None:
    refused = through.ask("GET", "/v2/", login="")
    assert refused.status == 401
    straight = gated.ask("GET", "/v2/", login="")
    assert refused.headers["WWW-Authenticate"] == straight.headers["WWW-Authenticate"]
    wrong = Credentials("pytest", "wrong").basic
    assert through.ask("GET", "/v2/", login=wrong).status == 401
    assert [each.account for each in through.requests] == ["", ""]


def test_a_worker_is_the_run_to_the_registry_and_itself_to_the_gateway(
    gated: Gated, through: Gated
) -> None:
    worker = Credentials("pytest-gw7", RUN.password)
    assert through.as_(worker).ask("GET", through.blob).status == 200
    assert gated.requests[-1].account == "pytest"
    assert (through.requests[-1].account, through.requests[-1].worker) == ("pytest-gw7", "gw7")
    stranger = Credentials("pytest-gw7", "wrong")
    assert through.as_(stranger).ask("GET", through.blob).status == 401


def test_faults_and_throttling_work_as_before(through: Gated) -> None:
    with through.fault(on="GET blob", truncate=1000):
        assert through.ask("GET", through.blob).broke == "ended early"
    with through.fault(on="GET blob", redirect=True):
        location = through.ask("GET", through.blob).headers["Location"]
        host, _, path = location.partition("://")[2].partition("/")
        assert len(through.ask("GET", f"/{path}", host=host, login="").body) == 256_000
    with through.fault(status=401, times=1):
        refused = through.ask("GET", through.blob)
    assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
    with through.throttle(read=1):
        assert [through.ask("GET", through.blob).status for _ in range(2)] == [200, 429]


def test_clients_beside_each_other_get_their_own_answers(through: Gated) -> None:
    wrong: list[int] = []

    def pull() -> None:
        for _ in range(20):
            body = through.ask("GET", through.blob).body
            wrong.extend([len(body)] if digest_of(body) not in through.blob else [])

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_registry_that_is_gone_is_a_bad_gateway(gated: Gated, through: Gated) -> None:
    connection = http.client.HTTPConnection(through.server.host, timeout=30)
    statuses = []
    for number in range(2):
        connection.request("GET", through.manifest, headers={"Authorization": RUN.basic})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        if number == 0:
            gated.server.close()
    connection.close()
    assert statuses == [200, 502]


def test_a_refused_upload_is_answered_though_it_was_not_read(through: Gated) -> None:
    digest = digest_of(b"other")
    path = f"/v2/team/app/blobs/uploads/?digest={digest}"
    answer = through.ask("POST", path, b"x" * 5_000_000, login="")
    assert answer.status == 401


@pytest.mark.parametrize("fault", [{"truncate": "middle"}, {"reset": "middle"}, {"truncate": 1000}])
def test_a_body_that_breaks_off_behind_the_gateway_breaks_off_before_it(
    gated: Gated, through: Gated, fault: dict[str, Any]
) -> None:
    with gated.fault(on="GET blob", **fault):
        answer = through.ask("GET", through.blob)
    assert answer.broke in ("ended early", "was reset")
    assert through.requests[-1].bytes_out < LENGTH
    for _ in range(3):
        assert len(through.ask("GET", through.blob).body) == LENGTH


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_where_the_kernel_does_not_splice_bodies_are_copied(
    through: Gated, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    asked = []

    def refuse(*_: object, **__: object) -> int:
        asked.append(number)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "splice", refuse)
    answer = through.ask("GET", through.blob)
    assert digest_of(answer.body) in through.blob
    assert through.requests[-1].bytes_out == LENGTH
    assert asked


def test_a_client_that_goes_in_the_midst_of_a_blob_disturbs_nobody(through: Gated) -> None:
    content = os.urandom(20_000_000)
    path = f"/v2/team/app/blobs/uploads/?digest={digest_of(content)}"
    assert through.ask("POST", path, content).status == 201
    blob = f"/v2/team/app/blobs/{digest_of(content)}"
    for _ in range(3):
        connection = http.client.HTTPConnection(through.server.host, timeout=30)
        connection.request("GET", blob, headers={"Authorization": RUN.basic})
        connection.getresponse().read(100_000)
        connection.close()
        assert through.ask("GET", blob).body == content
    whole = [each.bytes_out for each in through.requests if each.path == blob]
    assert whole.count(len(content)) == 3


def test_more_connections_than_select_can_count_are_passed_on(through: Gated) -> None:
    """Descriptors above 1023 do not fit into select()."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this system lets no process have so many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert [through.ask("GET", through.manifest).status for _ in range(3)] == [200] * 3
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


Saying = Callable[[Iterable[bytes]], Gated]


@pytest.fixture
def saying(gated: Gated, tmp_path: Path) -> Iterator[Saying]:
    """Before what says these bytes to one request and closes, a gateway."""
    with contextlib.ExitStack() as stack:

        def start(answer: Iterable[bytes]) -> Gated:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(30)

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    for block in answer:
                        connection.sendall(block)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            host = f"127.0.0.1:{listener.getsockname()[1]}"
            log = tmp_path / "saying.jsonl"
            forward = Forward(Upstream(host, None, RUN, workers=False))
            guard = Guard(ServerSettings(authenticator=Named()), RUN, log, forward=forward)
            stack.callback(guard.close)
            server = stack.enter_context(RegistryServer(guard.settings))
            return type(gated)(server, log, guard.gate.key)

        yield start


def test_a_status_without_a_name_comes_through(saying: Saying) -> None:
    through = saying([b"HTTP/1.1 520 Web Server Is Odd\r\nContent-Length: 3\r\n\r\nodd"])
    answer = through.ask("GET", "/v2/")
    assert (answer.status, answer.body) == (520, b"odd")
    assert through.requests[-1].status == 520


BLOCK = os.urandom(1 << 20)
BLOCKS = 24


def without_a_length(*, chunked: bool, last: bytes = b"0\r\n\r\n") -> Iterator[bytes]:
    """An answer of many blocks that does not say how long it is."""
    yield b"HTTP/1.1 200 OK\r\n"
    yield b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Connection: close\r\n\r\n"
    for _ in range(BLOCKS):
        yield b"%x\r\n" % len(BLOCK) if chunked else b""
        yield BLOCK
        yield b"\r\n" if chunked else b""
    yield last if chunked else b""


@pytest.mark.parametrize("chunked", [True, False])
def test_an_answer_without_a_length_comes_through_and_fills_no_memory(
    saying: Saying, chunked: bool
) -> None:
    through = saying(without_a_length(chunked=chunked))
    connection = http.client.HTTPConnection(through.server.host, timeout=60)
    tracemalloc.start()
    try:
        connection.request("GET", through.blob, headers={"Authorization": RUN.basic})
        answer = connection.getresponse()
        blocks = [answer.read(len(BLOCK)) == BLOCK for _ in range(BLOCKS)]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        connection.close()
    assert blocks == [True] * BLOCKS
    assert int(answer.headers["Content-Length"]) == BLOCKS * len(BLOCK)
    assert most < BLOCKS * len(BLOCK) / 2


def test_a_fault_finds_the_middle_of_an_answer_without_a_length(saying: Saying) -> None:
    through = saying(without_a_length(chunked=True))
    with through.fault(on="GET blob", truncate="middle"):
        answer = through.ask("GET", through.blob)
    assert (answer.broke, len(answer.body)) == ("ended early", BLOCKS * len(BLOCK) // 2)


def test_an_answer_without_a_length_that_breaks_off_is_a_bad_gateway(saying: Saying) -> None:
    through = saying(without_a_length(chunked=True, last=b"100\r\nno more"))
    answer = through.ask("GET", through.blob)
    assert (answer.status, answer.codes) == (502, ["UNKNOWN"])


@pytest.mark.parametrize("begun", [b"", b"half"])
def test_an_answer_without_a_length_that_stands_still_is_a_bad_gateway(
    saying: Saying, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(origin, "TIMEOUT", 0.2)
    over = threading.Event()

    def answer() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + begun
        over.wait(30)

    through = saying(answer())
    try:
        assert through.ask("GET", through.blob).status == 502
    finally:
        over.set()


def test_a_connection_that_the_registry_closes_as_it_is_asked_again_costs_no_answer(
    tmp_path: Path,
) -> None:
    """As load balancers do whose patience has just ended: the second request meets the close."""
    answered = []

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in iter(lines.readline, b""):
                if line == b"\r\n":
                    answered.append(line)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    lines.readline()
                    return

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        forward = Forward(Upstream(host, None, RUN, workers=False))
        guard = Guard(ServerSettings(authenticator=Named()), RUN, tmp_path / "log", forward=forward)
        with RegistryServer(guard.settings) as server:
            connection = http.client.HTTPConnection(server.host, timeout=30)
            for _ in range(3):
                connection.request("GET", "/v2/")
                response = connection.getresponse()
                assert (response.status, response.read()) == (200, b"ok")
            connection.request("POST", "/v2/a/blobs/uploads/")
            assert connection.getresponse().status == 502
            connection.close()
        guard.close()
        listener.shutdown(socket.SHUT_RDWR)
    assert len(answered) == 3
