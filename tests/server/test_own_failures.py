"""What fails on our side: full disks, broken logs, no descriptors. Clients have their answers."""

from __future__ import annotations

import errno
import http.client
import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.gate.guard import Guard
from pytest_registry.oci.names import digest_of
from pytest_registry.report.traffic import read_requests
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import ServerSettings
from pytest_registry.server.store import disk

if TYPE_CHECKING:
    from tests.server.conftest import Kit, Serve

MIB = 1024 * 1024
COMMAND = [sys.executable, "-m", "pytest_registry", "serve", "--port", "0"]


@contextmanager
def serving(*arguments: str, before: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A registry in a process of its own, after a shell did something, and its HOST:PORT."""
    script = f'{before} exec "$@"'
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", *COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().partition("http://")[2].split()[0]
        finally:
            process.terminate()


def ask(address: str, method: str = "GET", path: str = "/v2/", body: bytes = b"") -> int:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


# Full disks --------------------------------------------------------------------------------------


class Disk:
    """Takes `free` bytes, the last of them as half a line."""

    def __init__(self) -> None:
        self.free = 1_000_000
        self._write = os.write

    def write(self, file: int, data: bytes) -> int:
        if self.free == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: self.free]
        self.free -= len(part)
        return self._write(file, part)


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """What stands before the embedded registry of every run."""
    settings = ServerSettings(storage=tmp_path / "storage")
    guard = Guard(settings, Credentials("run", "a password"), tmp_path / "requests.jsonl")
    yield guard
    guard.close()


@pytest.mark.parametrize("free", [0, 1, 100])
def test_a_full_disk_costs_lines_of_the_log_and_no_answers(
    free: int, guard: Guard, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = serve(**guard.settings._asdict() | {"log": None})
    digest = registry.push_blob("a", b"{}")
    small = Disk()
    monkeypatch.setattr(os, "write", small.write)
    for _ in range(3):
        small.free = free
        answers = [registry.ask("GET", f"/v2/a/blobs/{digest}") for _ in range(3)]
        assert [(each.status, each.body) for each in answers] == 3 * [(200, b"{}")]
        new = registry.ask("POST", f"/v2/a/blobs/uploads/?digest={digest_of(b'new')}", b"new")
        assert (new.status, new.codes) == (507, ["DENIED"])
        small.free = 1_000_000
        assert registry.ask("GET", "/v2/a/tags/list").status == 200
    monkeypatch.undo()
    kept = [each.route for each in read_requests(tmp_path / "requests.jsonl")]
    assert kept == ["upload", "tags", "tags", "tags"]


# Observers and logs ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(errno.EIO, "no disk"), RuntimeError("no idea")])
def test_an_observer_that_fails_is_logged_and_the_answer_is_whole(
    error: Exception, serve: Serve
) -> None:
    def fail(_: object) -> None:
        raise error

    registry = serve(observer=fail)
    digest = registry.push_blob("a", b"content")
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").body == b"content"
    assert [str(error) in line for line in registry.lines] == [False, True, False, True]


def test_a_log_that_fails_neither_cuts_answers_nor_keeps_the_observer_from_them(
    serve: Serve,
) -> None:
    def fail(_: str) -> None:
        raise BrokenPipeError

    def interceptor(*_: object) -> None:
        raise RuntimeError("a bug")

    registry = serve(log=fail)
    assert registry.ask("GET", "/v2/").status == 200
    assert registry.record().status == 200
    assert serve(log=fail, storage=None, interceptor=interceptor).ask("GET", "/v2/").status == 500


def test_a_log_that_nobody_reads_any_more_fails_no_request() -> None:
    with serving("--log") as (process, address):
        assert process.stderr is not None
        assert ask(address) == 200
        process.stderr.close()
        assert [ask(address) for _ in range(3)] == [200, 200, 200]


def test_accounts_that_cannot_be_read_let_nobody_in(serve: Serve) -> None:
    class Broken:
        def authenticate(self, _: object) -> None:
            raise OSError(errno.EIO, "no disk")

    registry = serve(authenticator=Broken())
    assert registry.ask("GET", "/v2/").status == 500
    assert "no disk" in registry.lines[0]


def test_a_failure_inside_is_one_line_that_tells_where(serve: Serve) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def interceptor(*_: object) -> None:
        raise Mute

    registry = serve(interceptor=interceptor)
    assert registry.ask("GET", "/v2/").codes == ["UNKNOWN"]
    assert registry.lines[0].startswith("Traceback: ")
    assert f"{__file__}:" in registry.lines[0]
    assert registry.lines[0].endswith(" in interceptor: Mute")


def test_content_that_cannot_be_read_is_logged_where_it_is_cut_off(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Iterator[memoryview]:
        yield memoryview(b"cont")
        raise OSError(errno.EIO, "no disk")

    registry = serve(access_log=False)
    path = f"/v2/a/blobs/{registry.push_blob('a', b'content')}"
    monkeypatch.setattr(disk.FileContent, "blocks", fail)
    assert registry.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).endswith(
        b"\r\n\r\ncont"
    )
    assert "no disk" in registry.lines[0]


def test_a_client_that_has_gone_is_not_logged_as_a_failure(serve: Serve, kit: Kit) -> None:
    registry = serve(access_log=False)
    path = f"/v2/a/blobs/{registry.push_blob('a', bytes(8 * MIB))}"
    connection = registry.connect()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    kit.wait_until(lambda: registry.record().route == "blob")
    registry.server.close()
    assert registry.lines == []


# File descriptors --------------------------------------------------------------------------------


def test_out_of_descriptors_is_503_and_over_when_some_are_free(tmp_path: Path) -> None:
    """In a process of its own, which has imported nothing yet that an error would need."""
    content = b"content"
    path = f"/v2/a/blobs/uploads/?digest={digest_of(content)}"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
    with serving("--storage", str(tmp_path / "storage"), "--log") as (process, address):
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head.encode() + content)
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
            limit, (_, hard) = first_free(process.pid), resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, hard))
            connection.sendall(head.encode() + content)
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in answer
            assert b'"code": "TOOMANYREQUESTS"' in answer
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit + 1, hard))
            connection.sendall(head.encode() + content)
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
        process.terminate()
        assert "Too many open files" in process.communicate(timeout=10)[1]


def first_free(pid: int) -> int:
    """The descriptor that a process would be given next."""
    opened = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(opened) + 1) if number not in opened)


def test_a_server_of_its_own_may_open_as_many_files_as_the_system_lets_it() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(before="ulimit -S -n 64;") as (process, _):
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
