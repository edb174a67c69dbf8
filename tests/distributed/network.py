"""Machines of a test's own: network namespaces on a bridge, all removed at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def ip(*words: str) -> str:
    """Run the ip command; what it printed."""
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    return done.stdout


def why_not() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if os.name != "posix" or os.getuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no ip command here (Debian's iproute2)"
    probe = f"prt{os.getpid()}-probe"
    try:
        ip("netns", "add", probe)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.strip()}"
    ip("netns", "delete", probe)
    return ""


class Machine:
    """A network namespace with one address on the test's bridge."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def command(self, *words: str) -> list[str]:
        """A command that runs there (`ip netns exec` would hide the control groups' mounts)."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def processes(self) -> list[int]:
        """What runs there."""
        with suppress(subprocess.CalledProcessError):  # it is gone
            return [int(pid) for pid in ip("netns", "pids", self.name).split()]
        return []

    def kill(self) -> None:
        """Pull the cable, then kill everything: nothing of it can say goodbye."""
        ip("-n", self.name, "link", "set", "eth0", "down")
        self.end()

    def end(self) -> None:
        """Kill everything that runs there."""
        deadline = time.monotonic() + 10
        while (pids := self.processes()) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


class Network:
    """A bridge of this machine's; `address` is this machine's own on it."""

    def __init__(self) -> None:
        number = os.getpid()
        self._bridge = f"prt{number}"
        self._subnet = f"10.213.{number % 250}"
        self._machines: list[Machine] = []
        self.address = f"{self._subnet}.1"

    def make(self) -> None:
        ip("link", "add", self._bridge, "type", "bridge")
        ip("address", "add", f"{self.address}/24", "dev", self._bridge)
        ip("link", "set", self._bridge, "up")

    def machine(self) -> Machine:
        """One more machine on the bridge."""
        number = len(self._machines)
        machine = Machine(f"{self._bridge}-{number}", f"{self._subnet}.{number + 10}")
        self._machines.append(machine)
        outer = f"{self._bridge}v{number}"
        ip("netns", "add", machine.name)
        pair = ("type", "veth", "peer", "name", "eth0", "netns", machine.name)
        ip("link", "add", outer, *pair)
        ip("link", "set", outer, "master", self._bridge, "up")
        inside = ("-n", machine.name)
        ip(*inside, "address", "add", f"{machine.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            ip(*inside, "link", "set", device, "up")
        return machine

    def remove(self) -> None:
        for number, machine in enumerate(self._machines):
            machine.end()
            # The wire first: the namespace itself lives on until its last process is reaped.
            _delete("link", f"{self._bridge}v{number}")
            _delete("netns", machine.name)
        _delete("link", self._bridge)


def _delete(kind: str, name: str) -> None:
    with suppress(subprocess.CalledProcessError):  # it was never made
        ip(kind, "delete", name)


@contextmanager
def network() -> Iterator[Network]:
    """A network that is gone afterwards, whatever happened."""
    made = Network()
    try:
        made.make()
        yield made
    finally:
        made.remove()
