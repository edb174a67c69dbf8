"""A real redis-server of the test's own, and processes that hold and wait."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from tests.conftest import free_port

REGISTRY = "registry.example:5000"
LEASE = 4.0
"""Where its end is waited for."""
LONG_LEASE = 10.0
"""Where nobody dies: longer than any process is kept from running."""
Start = Callable[..., "subprocess.Popen[str]"]


class RedisServer:
    """A redis-server that a test starts, stops, freezes and ends; nothing of it is kept on disk."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.listen_on("127.0.0.1")

    def listen_on(self, address: str) -> None:
        """Choose a free port of an address."""
        self._address = address
        self.port = free_port(address)
        self.url = f"redis://{address}:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", self._address]
        command += ["--save", "", "--dir", str(self._directory), *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((self._address, self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, "redis-server ended"
                assert time.monotonic() < deadline, "redis-server does not listen"
                time.sleep(0.02)
            else:
                return

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def flush(self) -> None:
        import redis

        with redis.Redis.from_url(self.url) as client:
            client.flushall()


def why_no_redis() -> None:
    """Skip a test where there is no redis-server; in CI that is a failure."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must not skip tests of Redis: tools/services installs it")
        pytest.skip("there is no redis-server here (tools/services installs it)")


@pytest.fixture
def fresh_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server that nobody has used."""
    why_no_redis()
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.end()


@pytest.fixture
def redis_server(fresh_redis: RedisServer) -> RedisServer:
    """A redis-server that has been used before: it lets in at once."""
    use(fresh_redis.url)
    return fresh_redis


def use(url: str, registry: str = REGISTRY) -> None:
    """Use a Redis for a registry, as if no lease had ever been long: from then on it lets in."""
    slots = RedisSlots(url, registry, LEASE)
    slots.leases.longest = 0.2
    limits = Limits(slots, LimitPolicy(pull=1, push=1, timeout=20))
    for turn in (limits.pull(), limits.push()):
        with turn:
            pass


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may ask for a longer lease than the tests' own: a Redis that forgot opens sooner."""
    monkeypatch.setattr("pytest_registry.limits.leases.LONGEST_LEASE", LEASE)


def limits_of(url: str, lease: float, registry: str = REGISTRY, timeout: float = 20) -> Limits:
    """Limits of another machine: each call is a client of its own."""
    return Limits(RedisSlots(url, registry, lease), LimitPolicy(pull=1, push=1, timeout=timeout))


@pytest.fixture
def start() -> Iterator[Start]:
    """Start one of the programs in `programs.py` as a process; killed at the end."""
    running: list[subprocess.Popen[str]] = []

    def start_program(
        name: str, *arguments: object, before: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        program = Path(__file__).with_name("programs.py")
        command = [*before, sys.executable, str(program), name, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        running.append(process)
        return process

    yield start_program
    for process in running:
        process.kill()
        process.communicate()


def until_waiting(server: RedisServer, count: int) -> None:
    """Wait until so many stand in the queue for a pull."""
    import redis

    deadline = time.monotonic() + 20
    with redis.Redis.from_url(server.url) as client:
        while client.zcard(f"pytest-registry:{{{REGISTRY}}}:pull:queue") != count:
            assert time.monotonic() < deadline, f"there are never {count} in the queue"
            time.sleep(0.01)


def served_in_turn(
    server: RedisServer, machines: Sequence[Limits], then: Callable[[], object] = int
) -> list[int]:
    """The machines' numbers in the order of their service, who came in that of their numbers.

    A slot is held until all of them wait, and `then` has been called.
    """
    served: list[int] = []

    def wait(number: int) -> None:
        with machines[number].pull():
            served.append(number)

    threads = [threading.Thread(target=wait, args=(each,)) for each in range(len(machines))]
    with limits_of(server.url, LEASE).pull():
        for number, thread in enumerate(threads):
            thread.start()
            until_waiting(server, number + 1)
        then()
    for thread in threads:
        thread.join()
    return served


def waited_elsewhere(limits: Limits) -> float:
    """Take a slot and give it back in a thread, as another machine would; the seconds waited."""

    def take() -> float:
        with limits.pull() as operation:
            return operation.waited

    with ThreadPoolExecutor(1) as other:
        return other.submit(take).result()
