"""A second dockerd, in a network namespace of the test's own, as a remote or nested engine is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.distributed.network import Machine, Network, network, why_not

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class RemoteEngine:
    """A dockerd at `address`: port 2375 in the clear, 2376 with TLS, `socket` on its machine."""

    place: Path
    machine: Machine

    @property
    def address(self) -> str:
        return self.machine.address

    @property
    def socket(self) -> Path:
        return self.place / "docker.sock"

    def environment(self, *, tls: bool) -> dict[str, str]:
        if not tls:
            return {"DOCKER_HOST": f"tcp://{self.address}:2375"}
        return {
            "DOCKER_HOST": f"tcp://{self.address}:2376",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.place),
        }

    def docker(self, *words: str) -> str:
        command = ["docker", "--host", f"unix://{self.socket}", *words]
        environment = {key: each for key, each in os.environ.items() if "DOCKER" not in key}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def state(self) -> list[str]:
        """What stands in it."""
        containers = self.docker("ps", "--all", "--format", "{{.Image}}")
        images = self.docker("images", "--format", "{{.Repository}}:{{.Tag}}")
        return sorted((containers + self.docker("volume", "ls", "--quiet") + images).split())


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteEngine]:
    """A dockerd on another machine, with our images; all of it is gone afterwards."""
    reason = why_not() or ("" if shutil.which("dockerd") else "there is no dockerd here")
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {reason}")
        pytest.skip(reason)
    place = Path(tempfile.mkdtemp(prefix="remote-"))  # short: a socket's path must be
    try:
        with network() as made:
            yield from serving(made, place)
    finally:
        for mount in sorted(mounts_below(place), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(place, ignore_errors=True)


def serving(made: Network, place: Path) -> Iterator[RemoteEngine]:
    """Run dockerd in a namespace until the tests are done."""
    engine = RemoteEngine(place, made.machine())
    make_certificates(engine)
    options = [
        *("--data-root", str(place / "data"), "--exec-root", str(place / "exec")),
        *("--pidfile", str(place / "pid"), "--host", f"unix://{engine.socket}"),
        *("--host", f"tcp://{engine.address}:2376", "--tlsverify"),
        *("--tlscacert", str(place / "ca.pem"), "--tlscert", str(place / "server.pem")),
        *("--tlskey", str(place / "server.pem")),
    ]
    forwarder = [sys.executable, str(Path(__file__).with_name("forward.py"))]
    with (place / "log").open("wb") as log:
        dockerd = subprocess.Popen(
            engine.machine.command("dockerd", *options), stdout=log, stderr=log
        )
        plain = subprocess.Popen(
            engine.machine.command(*forwarder, engine.address, "2375", str(engine.socket))
        )
        try:
            until_it_answers(engine, dockerd)
            load_images(engine)
            yield engine
        finally:
            plain.kill()
            plain.wait()
            dockerd.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                dockerd.wait(20)
            engine.machine.end()
            dockerd.wait()


def make_certificates(engine: RemoteEngine) -> None:
    """For dockerd, and for its clients by the names that docker expects."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(engine.place / "ca.pem")
    server = authority.issue_cert(engine.address)
    server.private_key_and_cert_chain_pem.write_to_path(engine.place / "server.pem")
    client = authority.issue_cert("client@example.test")
    client.cert_chain_pems[0].write_to_path(engine.place / "cert.pem")
    client.private_key_pem.write_to_path(engine.place / "key.pem")


def until_it_answers(engine: RemoteEngine, dockerd: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(AssertionError):
            engine.docker("version")
            return
        said = (engine.place / "log").read_text(errors="replace")[-2000:]
        assert dockerd.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)


def load_images(engine: RemoteEngine) -> None:
    archives = engine.place / "archives"
    tool = [sys.executable, str(ROOT / "tools" / "engine_images.py"), "--save", str(archives)]
    subprocess.run(tool, check=True, stdout=subprocess.DEVNULL)
    for name in ("registry-3", "nginx-1"):
        engine.docker("load", "--quiet", "--input", str(archives / f"{name}.tar"))


def mounts_below(place: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{place}/")]
