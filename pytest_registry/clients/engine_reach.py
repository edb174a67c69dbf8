"""Where the ports are met that a container engine publishes: the engine may be on another machine.

Four cases: the engine is on this machine; it is on another one (DOCKER_HOST over tcp or ssh, or a
docker-in-docker service); this process is itself in one of the engine's containers, with its socket
mounted; or in one that shares the engine's network, which is as on this machine.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_registry.clients import engine_address
from pytest_registry.clients.environment import engine_environment
from pytest_registry.clients.http import is_loopback
from pytest_registry.errors import EngineUnavailable

if TYPE_CHECKING:
    import docker

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - on the engine's machine; random credentials protect it

MOUNTS = Path("/proc/self/mountinfo")
_OWN_FILE = re.compile(
    r" \S*containers/([0-9a-f]{64})/\S* /etc/(?:hostname|hosts|resolv\.conf) ", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Reach:
    """How this process reaches the engine's containers.

    `publish` is the address to publish ports on, `host` the one under which they are met. With a
    `network` both processes are in it: a container is met at its own address and port there.
    """

    publish: str = LOOPBACK
    host: str = LOOPBACK
    network: str = ""

    @property
    def in_words(self) -> str:
        """What is worth telling; empty for an engine on this machine."""
        if self.network:
            return f"met in the engine's network {self.network}"
        if self.publish != LOOPBACK:
            return f"published on every address of {self.host}, guarded by its random password"
        return ""

    def meet(self, inspected: dict[str, Any], port: int) -> str:
        """HOST:PORT of a container's port for this process; empty if it does not run."""
        settings = inspected["NetworkSettings"]
        if self.network:
            address = settings["Networks"].get(self.network, {}).get("IPAddress")
            return f"{address}:{port}" if address else ""
        return published(inspected, port, self.host)


HERE = Reach()
"""An engine on this machine."""


def published(inspected: dict[str, Any], port: int, host: str = LOOPBACK) -> str:
    """HOST:PORT under which an inspected container's port is published; empty if it is not."""
    bindings = (inspected["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
    if not bindings:
        return ""
    return f"{f'[{host}]' if ':' in host else host}:{bindings[0]['HostPort']}"


def reach_of(client: docker.DockerClient) -> Reach:
    """How the containers of an engine are reached; raises docker-py's errors."""
    name = daemon_host_name()
    if name:
        return Reach(EVERYWHERE, name)
    network = _own_network(client)
    return Reach(network=network) if network else HERE


def daemon_host_name() -> str:
    """The name of the other machine that the engine is on; empty for this machine.

    A loopback address counts as this machine: what is forwarded there is published there, too.
    """
    scheme, _, rest = (engine_environment().get("DOCKER_HOST") or "").partition("://")
    if scheme not in ("tcp", "http", "https", "ssh"):
        return ""
    name = urlsplit(f"//{rest}").hostname or ""
    if scheme == "ssh":
        name = _ssh_host(rest) or name
    return "" if is_loopback(name) else name


def meets_own_ports() -> bool:
    """Whether the engine's daemon can reach what this process serves on a loopback address."""
    return not daemon_host_name() and not own_container()


def check_certificates(host: str, tls: str, directory: Path) -> None:
    """Raise EngineUnavailable where mutual TLS shuts out the engine.

    `directory` holds what other commands can show.
    """
    if tls == "mutual":
        raise EngineUnavailable(
            f"use a container engine with {host}",
            "the registry wants certificates of its clients, and an engine shows none to a"
            " registry on a loopback address",
            "use registry.client, or podman, buildah or skopeo with"
            f" --cert-dir={directory}; or --registry-tls=on",
            section="client-certificates",
        )


def out_of_reach(registry: str) -> EngineUnavailable:
    """What to raise where the engine's daemon cannot reach what is served here."""
    return EngineUnavailable(
        f"use a container engine with {registry}",
        "its daemon is on another machine, or outside of the container that this runs in",
        "use registry.client, which needs no engine, or a registry without part of this process:"
        " --registry-engine=container, without --registry-gateway and --registry-auth=bearer",
        section="other-machine",
    )


def own_container() -> str:
    """The id of the container that this process is in, by its mounts; empty outside of any."""
    try:
        found = _OWN_FILE.search(MOUNTS.read_text("utf-8", "replace"))
    except OSError:
        return ""
    return "" if found is None else found[1]


def _own_network(client: docker.DockerClient) -> str:
    """The engine's network that our own container is in; empty if it is not the engine's."""
    from docker.errors import NotFound

    if not (own := own_container()) or not engine_address.is_likely():
        return ""
    try:
        inspected = client.api.inspect_container(own)
    except NotFound:
        return ""
    networks = inspected["NetworkSettings"]["Networks"] or {}
    return next((name for name, each in networks.items() if each.get("IPAddress")), "")


def _ssh_host(destination: str) -> str:
    """What an alias of the user's ssh configuration stands for; empty if ssh does not say."""
    host = urlsplit(f"//{destination}").hostname or ""
    try:
        done = subprocess.run(
            ["ssh", "-G", "--", host], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"^hostname (\S+)$", done.stdout, re.MULTILINE)
    return "" if found is None else found[1]
