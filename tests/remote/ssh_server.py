"""An sshd of a test's own before a remote engine, and an ssh that knows nothing of the user's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.remote.conftest import RemoteEngine

PORT = 2222
ALIAS = "builder"
"""A name that only the ssh configuration of the test knows."""

SERVER = """\
ListenAddress {address}:2222
HostKey {place}/host-key
PidFile none
AuthorizedKeysFile {place}/authorized-keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
SetEnv DOCKER_HOST=unix://{socket}
"""
# A shared temporary directory is not what StrictModes wants; nobody else can enter `place`.

CLIENT = """\
Host builder
    HostName {address}
    Port 2222
Host *
    IdentityFile {place}/key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {place}/known-hosts
    GlobalKnownHostsFile none
"""


@dataclass(frozen=True)
class SshServer:
    """`bin` holds an ssh command that is given the configuration at `place`."""

    address: str
    place: Path

    @property
    def bin(self) -> Path:
        return self.place / "bin"

    @property
    def path(self) -> str:
        return f"{self.bin}:{os.environ['PATH']}"


def why_not() -> str:
    """Why there can be no sshd here; empty where there can."""
    missing = [name for name in ("ssh", "sshd", "ssh-keygen") if shutil.which(name) is None]
    return f"there is no {', '.join(missing)} here (tools/services installs it)" if missing else ""


@contextmanager
def ssh_server(engine: RemoteEngine, place: Path) -> Iterator[SshServer]:
    """Serve ssh on the engine's machine; there the docker command finds that machine's engine."""
    server = SshServer(engine.address, place)
    for name in ("host-key", "key", "other-key"):
        make_key(place / name)
    shutil.copy(place / "key.pub", place / "authorized-keys")
    host_key = (place / "host-key.pub").read_text()
    (place / "known-hosts").write_text(f"[{engine.address}]:{PORT} {host_key}")
    settings = {"address": engine.address, "place": place, "socket": engine.socket}
    (place / "sshd_config").write_text(SERVER.format(**settings))
    (place / "ssh_config").write_text(CLIENT.format(**settings))
    server.bin.mkdir()
    (server.bin / "ssh").write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F {place}/ssh_config "$@"\n'
    )
    (server.bin / "ssh").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd goes there to give up its rights
    # By its whole path: it starts itself again for every connection, and insists on that.
    sshd = [shutil.which("sshd") or "sshd", "-D", "-f", str(place / "sshd_config")]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(engine.machine.command(*sshd), stderr=log)
        try:
            until_it_listens(server, process)
            yield server
        finally:
            process.terminate()
            process.wait()


def make_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of a test", "-f", str(path)]
    subprocess.run(command, check=True)


def until_it_listens(server: SshServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((server.address, PORT), 1).close()
        except OSError:
            said = (server.place / "log").read_text(errors="replace")
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        else:
            return
