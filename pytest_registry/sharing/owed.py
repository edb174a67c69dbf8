"""What could not be removed because the container engine was gone: paid by a later run's keeper.

A debt is one small file of mode 0600 in the user's state directory.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_registry.clients import engine_address
from pytest_registry.security.files import write_secret
from pytest_registry.sharing.directories import private_directory, state_directory

CONNECT_TIMEOUT = 1.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run made in a container engine, as far as it must be removed by somebody.

    `labels` are on containers, volumes and networks; `references` under `host` other than those of
    `before` are tags that came with the run; `pulled` are images that it pulled.
    """

    labels: dict[str, str]
    host: str | None
    before: tuple[str, ...]
    pulled: tuple[str, ...]


def note(state: Path, name: str, made: Made) -> None:
    """Write down that what a run made is still in the engine; raises StateError."""
    debt = {"engine": _engine(), "made": asdict(made)}
    directory = private_directory(state_directory(state) / "owed")
    write_secret(directory / f"{name}.json", json.dumps(debt))


def debts(state: Path) -> Iterator[tuple[Path, Made]]:
    """What is owed to the engine that this process would use, oldest name first."""
    for path in sorted((state / "owed").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            debt = json.loads(path.read_text("utf-8"))
            if debt["engine"] == _engine():
                yield path, Made(**debt["made"])


def is_due(made: Made) -> bool:
    """Whether tags under the host can only be ours: another registry may have the port now."""
    if not made.host or "/" in made.host:  # below a prefix that only that run had
        return True
    address, _, port = made.host.rpartition(":")
    with contextlib.suppress(OSError):
        socket.create_connection((address, int(port)), CONNECT_TIMEOUT).close()
        return False
    return True


def paid(path: Path) -> None:
    """Forget a debt."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def _engine() -> dict[str, str]:
    """What names the engine that would be used; another one owns nothing of the run's."""
    found = engine_address.environment()
    return {name: found.get(name, "") for name in ("DOCKER_HOST", "DOCKER_CONTEXT")}
