"""docker-py to an engine behind ssh: `DOCKER_HOST=ssh://[USER@]HOST[:PORT][/SOCKET]`.

docker-py's own way needs paramiko even where it runs the ssh command, logs in anew for every
request, and leaves a process and a socket behind for each, of which Python warns. Here each
connection is one end of a socket pair whose other end is the ssh command's input and output, which
makes it as good as a Unix socket: it is kept for further requests, waited for with a timeout, and
closed by the kernel where this process dies, so that a registry container's lease ends over there.

This module imports docker at its top and is itself imported only where docker is needed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
import requests.exceptions
import urllib3
import urllib3.connection
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import DockerException
from docker.transport import UnixHTTPAdapter

from pytest_registry.errors import EngineUnavailable

_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[^@/:]+)@)?(?P<host>\[[^\]@/]+\]|[^@/:\[\]-][^@/:\[\]]*)"
    r"(?::(?P<port>[0-9]+))?(?P<path>/.*)?"
)

NOWHERE = "unix:///behind/ssh"
"""What docker-py is told instead; it connects to nothing by itself where it knows the version."""

# Never ask for a password or whether a key is right: nobody would see the question.
OPTIONS = ("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
PATIENCE = 2.0
"""Seconds in which an ssh that lost its connection has ended and said why."""
LAST_LINES = 2


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an engine is, as ssh takes it; an empty `user`, `port` or `path` is left to ssh."""

    host: str
    user: str
    port: str
    path: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Destination | None:
        """That of DOCKER_HOST; None if it is no ssh address. Raises EngineUnavailable."""
        address = environment.get("DOCKER_HOST") or ""
        if not address.startswith("ssh://"):
            return None
        found = _ADDRESS.fullmatch(address)
        if found is None:  # it is not shown: somebody may have put a password there
            raise _unreachable(
                "",
                "DOCKER_HOST is no such address",
                "give ssh://[USER@]HOST[:PORT], and no password",
            )
        return cls(**{name: word or "" for name, word in found.groupdict().items()})

    @property
    def words(self) -> list[str]:
        """The options and the host."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", self.port] if self.port else []
        return [*user, *port, "--", self.host.strip("[]")]

    @property
    def command(self) -> list[str]:
        """The command whose input and output are the engine's API."""
        socket_there = ["--host", f"unix://{self.path}"] if self.path.strip("/") else []
        remote = shlex.join(["docker", *socket_there, "system", "dial-stdio"])
        return ["ssh", *OPTIONS, *self.words, remote]


def arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """What `docker.from_env` is to be given for the engine of this environment.

    Raises EngineUnavailable for an address that cannot be, and where there is no ssh command.
    """
    destination = Destination.of(environment)
    if destination is None:
        return {"environment": dict(environment)}
    if shutil.which("ssh", path=environment.get("PATH")) is None:
        raise _unreachable(
            destination.host, "there is no ssh command here", "install it (Debian: openssh-client)"
        )
    return {"environment": {"DOCKER_HOST": NOWHERE}, "version": MINIMUM_DOCKER_API_VERSION}


def lead(client: docker.DockerClient, environment: Mapping[str, str]) -> None:
    """Lead a client that was made with `arguments` to its engine, if that is behind ssh.

    Raises EngineUnavailable with what ssh said.
    """
    destination = Destination.of(environment)
    if destination is None:
        return
    api = client.api
    adapter = SshAdapter(destination.command, api.timeout)
    api._custom_adapter = adapter  # which its close() closes
    api.mount("http+docker://", adapter)
    try:
        api._version = api.version(api_version=False)["ApiVersion"]
    except (DockerException, requests.exceptions.RequestException) as error:
        client.close()
        raise _unreachable(
            destination.host,
            str(error),
            f"see that `{shlex.join(['ssh', *OPTIONS, *destination.words])} docker version` works"
            " here: the host's key is in known_hosts, yours in ssh-agent or without a passphrase,"
            " and the docker command is installed there",
        ) from error


class SshAdapter(UnixHTTPAdapter):  # type: ignore[misc] # docker has no types
    """Docker-py's transport over sockets, whose connections are ssh commands."""

    def __init__(self, command: list[str], timeout: float) -> None:
        super().__init__(NOWHERE, timeout)
        self._command = command
        self.begin_anew()

    def begin_anew(self) -> None:
        """Have no connection yet, nor any in common with a process that was forked."""
        self._processes = _Processes(self._command)
        self._pool = _Pool(self._processes, self.timeout, self.max_pool_size)

    def get_connection(self, url: str, proxies: object = None) -> _Pool:  # noqa: ARG002 - docker-py's
        """One pool for all: docker-py has one per URL, each of which would log in anew."""
        return self._pool

    def send(self, *words: Any, **options: Any) -> requests.Response:
        """Send a request; a lost connection is told in ssh's own words."""
        before = self._processes.said()
        try:
            return super().send(*words, **options)  # type: ignore[no-any-return]
        except requests.exceptions.ConnectionError as error:
            self._processes.wait_for_the_last()
            words_of_ssh = self._processes.said()[len(before) :].strip().splitlines()
            if not words_of_ssh:
                raise
            told = "; ".join(words_of_ssh[-LAST_LINES:])
            raise requests.exceptions.ConnectionError(f"ssh: {told.strip()}") from error

    def close(self) -> None:
        """End all connections; others may be made afterwards, as with docker-py's own."""
        super().close()
        pool, processes = self._pool, self._processes
        self.begin_anew()
        pool.close()
        processes.end()


class _Pool(urllib3.HTTPConnectionPool):
    def __init__(self, processes: _Processes, timeout: float, size: int) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=size)
        self._processes = processes

    def _new_conn(self) -> _Connection:
        return _Connection(self._processes)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, processes: _Processes) -> None:
        super().__init__("localhost")
        self._processes = processes

    def connect(self) -> None:
        self.sock = self._processes.open()
        self.sock.settimeout(self.timeout)


class _Processes:
    """The ssh commands of one client, and what they said."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._files: list[Any] = []  # where they say it, once there is one
        self._running: list[subprocess.Popen[bytes]] = []
        self._last: subprocess.Popen[bytes] | None = None
        self.end = weakref.finalize(self, _end, self._running, self._files, os.getpid())

    def open(self) -> socket.socket:
        """One more connection; whether it holds is seen at its first answer."""
        self._running[:] = [each for each in self._running if each.poll() is None]
        if not self._files:
            self._files.append(tempfile.TemporaryFile())  # noqa: SIM115 - as long as we live
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # A session of its own: Ctrl-C is for pytest, which still clears up over there.
                self._last = subprocess.Popen(
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._files[0],
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self._running.append(self._last)
        return ours

    def said(self) -> str:
        """All that was said so far."""
        contents = (os.pread(each.fileno(), 1 << 20, 0) for each in self._files)
        return b"".join(contents).decode("utf-8", "replace")

    def wait_for_the_last(self) -> None:
        """Wait until the last connection's command has ended, which it does when it failed."""
        if self._last is not None:
            with suppress(subprocess.TimeoutExpired):
                self._last.wait(PATIENCE)


def _end(running: list[subprocess.Popen[bytes]], files: list[Any], owner: int) -> None:
    for file in files:
        file.close()
    if os.getpid() != owner:
        return  # a fork of ours: they are the parent's
    for each in running:
        each.terminate()
    for each in running:
        each.wait()


def _unreachable(host: str, happened: str, remedy: str) -> EngineUnavailable:
    where = f"behind ssh on {host}" if host else "behind ssh"
    return EngineUnavailable(f"reach a container engine {where}", happened, remedy)
