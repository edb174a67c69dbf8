"""A dockerd of a test's own beside the machine's, to be stopped and started again at will."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.distributed.network import ip, why_not

if TYPE_CHECKING:
    import docker

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 60.0
"""Seconds."""

PORTS = 45
"""How many ports an engine's containers are published at, one after the other."""

PORTS_FILE = "/proc/sys/net/ipv4/ip_local_port_range"
"""Where an engine reads which ports those are."""

MOUNTS = f'mount --bind "$0" {PORTS_FILE} && echo made && exec sleep infinity'
"""Keeps the mounts of an engine, in which it reads our file there."""


class SecondEngine:
    """A dockerd with directories and a bridge of its own, and no rules in the machine's firewall.

    So its containers are met through its proxies on 127.0.0.1 only, which is all that we need.
    Each start begins anew with the same ports, which no other engine gives at the same time: what
    lies under the port of a living registry is not removed. Its mounts are its own as well.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._bridge = f"prse{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._mounts: subprocess.Popen[bytes] | None = None
        self.address = f"unix://{place}/docker.sock"

    @contextmanager
    def serving(self) -> Iterator[SecondEngine]:
        """Run it with our images; nothing of it is left afterwards."""
        try:
            ip("link", "add", self._bridge, "type", "bridge")
            network = f"10.214.{os.getpid() % 250}.1/24"
            ip("address", "add", network, "dev", self._bridge)
            ip("link", "set", self._bridge, "up")
            self._keep_mounts()
            self.start()
            self._load_images()
            yield self
        finally:
            self.stop()
            with suppress(subprocess.CalledProcessError):  # it was never made
                ip("link", "delete", self._bridge)
            if self._mounts is not None:
                self._mounts.kill()
                self._mounts.communicate()
            shutil.rmtree(self._place, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        place = self._place
        assert self._mounts is not None
        self._forget_ended()
        command = [
            *("nsenter", "--target", str(self._mounts.pid), "--mount"),
            *("dockerd", "--host", self.address, "--pidfile", str(place / "pid")),
            *("--data-root", str(place / "data"), "--exec-root", str(place / "exec")),
            *("--bridge", self._bridge, "--iptables=false", "--ip-masq=false"),
        ]
        with (place / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            said = (place / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as an administrator would; containers, shims and proxies end with it."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it as the kernel would when memory is short; what its containers run may live on."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _forget_ended(self) -> None:
        """Remove the files of killed processes: whoever has such a number now is none of ours."""
        ours = self._processes()
        for file in (self._place / "pid", self._place / "exec" / "containerd" / "containerd.pid"):
            with suppress(OSError, ValueError):
                if int(file.read_text()) not in ours:
                    file.unlink()

    def connect(self) -> docker.DockerClient:
        """A client of it, as it is started now."""
        import docker

        return docker.DockerClient(base_url=self.address)

    def _keep_mounts(self) -> None:
        """Make the namespace of mounts that every start is in: what one leaves the next one has."""
        # Above those that the kernel gives to whoever asks for any.
        first = 61_000 + PORTS * (os.getpid() % 100)
        ports = self._place / "ports"
        ports.write_text(f"{first}\t{first + PORTS - 1}\n")
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTS, str(ports)]
        self._mounts = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._mounts.stdout is not None
        assert self._mounts.stdout.readline() == b"made\n"

    def _answers(self) -> bool:
        done = subprocess.run(
            ["docker", "--host", self.address, "version"], capture_output=True, check=False
        )
        return done.returncode == 0

    def _load_images(self) -> None:
        archives = self._place / "archives"
        tool = [sys.executable, str(ROOT / "tools" / "engine_images.py"), "--save", str(archives)]
        subprocess.run(tool, check=True, stdout=subprocess.DEVNULL)
        with closing(self.connect()) as client:
            for name in ("registry-3", "nginx-1"):
                with (archives / f"{name}.tar").open("rb") as archive:
                    client.images.load(archive)

    def _processes(self) -> list[int]:
        """Those that were started with a path of this engine's, as its containerd and shims are."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(self._place) in (entry / "cmdline").read_text(errors="replace"):
                    found.append(int(entry.name))
        return found


@contextmanager
def second_engine() -> Iterator[SecondEngine]:
    """An engine, or a skip with the reason; in CI a failure, where a skip would hide it."""
    reason = why_not() or ("" if shutil.which("dockerd") else "there is no dockerd here")
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {reason}")
        pytest.skip(reason)
    place = Path(tempfile.mkdtemp(prefix="second-"))  # short: a socket's path must be
    with SecondEngine(place).serving() as engine:
        yield engine
