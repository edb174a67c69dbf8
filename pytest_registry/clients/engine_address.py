"""Where a container engine is, as far as that can be told without importing docker-py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def environment() -> Mapping[str, str]:
    """The environment, with Podman's socket as DOCKER_HOST where that is the only engine."""
    found = dict(os.environ)
    if not _is_named(found) and not _default_socket().exists():
        for socket in _podman_sockets(found):
            if socket.exists():
                return {**found, "DOCKER_HOST": f"unix://{socket}"}
    return found


def is_likely() -> bool:
    """Whether it is worth asking: False where no engine is named and no socket exists.

    Importing docker-py costs some 100 ms, which a run without an engine need not pay.
    """
    return os.name != "posix" or _is_named(environment()) or _default_socket().exists()


def user_plugins() -> list[str]:
    """The user's directories of plugins for the docker command, which is given another config."""
    plugins = _user_config().parent / "cli-plugins"
    return [str(plugins)] if plugins.is_dir() else []


def _user_config() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def _is_named(found: Mapping[str, str]) -> bool:
    if found.get("DOCKER_HOST") or found.get("DOCKER_CONTEXT"):
        return True
    try:
        return "currentContext" in _user_config().read_text("utf-8")
    except OSError:
        return False


def _default_socket() -> Path:
    return Path("/var/run/docker.sock")


def _podman_sockets(found: Mapping[str, str]) -> list[Path]:
    if os.name != "posix":
        return []
    runtime = found.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [Path(each, "podman", "podman.sock") for each in (runtime, "/run")]
