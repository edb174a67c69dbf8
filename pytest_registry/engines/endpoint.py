"""How a started registry is reached, and what an engine must be able to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pytest_registry.security.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How the registry is reached.

    `host` is HOST:PORT for this machine's clients and as it stands in references; `daemon_host`
    the same for the container engine's own daemon (another one with a remote or nested daemon).
    `engine` is `container`, `embedded` or `external`, `detail` which one in words, `reason` why it
    was chosen; `start_seconds` how long it took until it answered.
    """

    engine: str
    detail: str
    reason: str
    scheme: str
    host: str
    daemon_host: str
    credentials: Credentials
    ca_file: str | None = None
    container_id: str | None = None
    start_seconds: float = 0.0

    @property
    def url(self) -> str:
        """The registry's root for clients of this machine."""
        return f"{self.scheme}://{self.host}"

    def started_in(self, seconds: float) -> Endpoint:
        """The endpoint with the seconds that its start took."""
        return dataclasses.replace(self, start_seconds=seconds)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Endpoint:
        """Read what `to_json` made."""
        return cls(**{**value, "credentials": Credentials(**value["credentials"])})

    def to_json(self) -> dict[str, Any]:
        """The endpoint as plain data, password included: only for files of mode 0600."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Birth:
    """What an engine needs to know to start a registry.

    `labels` mark everything that is made in a container engine; `deadline` is on the monotonic
    clock; `leased` registries must end with the process that started them.
    """

    run_id: str
    storage: Path
    log: Path
    labels: Mapping[str, str]
    credentials: Credentials
    start_timeout: float
    leased: bool = True


class Engine(Protocol):
    """Starts one registry, watches it, and removes it.

    `uses_container_engine`: whether starting makes things in a container engine.
    """

    uses_container_engine: bool

    def start(self, birth: Birth) -> Endpoint:
        """Start the registry and return once it listens; raises StartError, EngineUnavailable."""

    def wait(self) -> str:
        """Block until the registry ends by itself, and say in words how it ended."""

    def stop(self) -> None:
        """Remove the registry and what it kept; stopping twice is no error."""
