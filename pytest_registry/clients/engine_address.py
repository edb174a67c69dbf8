"""Where a container engine is, as far as that can be told without importing docker-py."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

DEFAULT_SOCKET = Path("/var/run/docker.sock")


def environment() -> Mapping[str, str]:
    """The environment, with Podman's socket as DOCKER_HOST where that is the only engine."""
    found = dict(os.environ)
    if not _is_named(found) and not _accepts(DEFAULT_SOCKET):
        for path in _podman_sockets(found):
            if _accepts(path):
                return {**found, "DOCKER_HOST": f"unix://{path}"}
    return found


def is_likely() -> bool:
    """Whether it is worth asking: False where no engine is named and no socket takes connections.

    Importing docker-py costs some 100 ms, which a run without an engine need not pay; and docker-py
    never closes a socket that it could not connect, which users who make warnings errors see.
    """
    if os.name != "posix":
        return True
    found = environment()
    scheme, _, path = (found.get("DOCKER_HOST") or "").partition("://")
    if scheme:
        return scheme != "unix" or _accepts(Path(path))
    return _is_named(found) or _accepts(DEFAULT_SOCKET)


def user_plugins() -> list[str]:
    """The user's directories of plugins for the docker command, which is given another config."""
    plugins = _user_config().parent / "cli-plugins"
    try:
        return [str(plugins)] if plugins.is_dir() else []
    except OSError:  # as where HOME is another user's
        return []


def in_home(name: str) -> Path:
    """The path of a file or directory of the user's, in which nothing is if they have no home.

    Users of whom the system knows nothing have none: those of `docker run --user`, of OpenShift.
    """
    try:
        return Path.home() / name
    except RuntimeError:
        return Path(os.devnull) / name


def _user_config() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or in_home(".docker")) / "config.json"


def _is_named(found: Mapping[str, str]) -> bool:
    if found.get("DOCKER_HOST") or found.get("DOCKER_CONTEXT"):
        return True
    try:
        return "currentContext" in _user_config().read_text("utf-8")
    except (OSError, ValueError):  # ValueError: it is no UTF-8
        return False


def _accepts(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _podman_sockets(found: Mapping[str, str]) -> list[Path]:
    if os.name != "posix":
        return []
    runtime = found.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [Path(each, "podman", "podman.sock") for each in (runtime, "/run")]
