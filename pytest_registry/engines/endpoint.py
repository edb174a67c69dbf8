"""How a started registry is reached, and what an engine must be able to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_registry.engines.security import Security
from pytest_registry.security.credentials import Credentials

if TYPE_CHECKING:
    import ssl

    from pytest_registry.gate.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How the registry is reached.

    `host` is HOST:PORT for this machine's clients and as it stands in references; `daemon_host`
    the same for the container engine's own daemon (another one with a remote or nested daemon),
    empty where that cannot reach the registry.
    `engine` is `container`, `embedded` or `external`, `detail` which one in words, `reason` why it
    was chosen, `container_id` its container, None where there is none; `start_seconds` how long it
    took until it answered. `prefix` is below what the run's
    repositories lie in a registry that is not the run's own.

    `request_log` is where the requests are written down that pass a gate of ours, which then also
    takes faults and throttles from whoever has `gate_key`, a secret that is nobody's login; None
    where there is none. `worker_names`: it takes the name of a worker for the run's account.
    `behind` is the root of the registry behind our gateway.

    `auth` and `tls` are how one logs in and over what, as the options name them; `client_cert` is
    the certificate and key that mutual TLS wants, `accounts` the file that further accounts are
    added to, None where there can be none.
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
    prefix: str = ""
    auth: str = "basic"
    tls: str = "off"
    client_cert: tuple[str, str] | None = None
    accounts: str | None = None
    request_log: str | None = None
    worker_names: bool = False
    behind: str | None = None
    gate_key: str = dataclasses.field(default="", repr=False)

    @property
    def url(self) -> str:
        """The registry's root for clients of this machine."""
        return f"{self.scheme}://{self.host}"

    @property
    def origin(self) -> str:
        """The root of the registry itself, which may be behind our gateway."""
        return self.url if self.behind is None else self.behind

    @property
    def ca_path(self) -> Path | None:
        """`ca_file` as a path."""
        return None if self.ca_file is None else Path(self.ca_file)

    @property
    def client_paths(self) -> tuple[Path, Path] | None:
        """`client_cert` as paths."""
        if self.client_cert is None:
            return None
        return Path(self.client_cert[0]), Path(self.client_cert[1])

    def tls_context(self) -> ssl.SSLContext | None:
        """What a client trusts and shows there; None over plain HTTP."""
        if self.scheme == "http":
            return None
        import ssl

        context = ssl.create_default_context(cafile=self.ca_file)
        if self.client_cert is not None:
            context.load_cert_chain(*self.client_cert)
        return context

    def write_client_config(self, directory: Path) -> None:
        """Make a DOCKER_CONFIG directory that is logged in to the registry; raises StateError."""
        from pytest_registry.clients.config_directory import ConfigDirectory

        ConfigDirectory(directory).write(
            filter(None, (self.host, self.daemon_host)),
            self.credentials if self.credentials.username else None,
            ca=self.ca_path,
            client_cert=self.client_paths,
            plain=self.scheme == "http",
        )

    @property
    def place(self) -> str:
        """What every reference of the run begins with, for clients of this machine."""
        return f"{self.host}/{self.prefix}" if self.prefix else self.host

    @property
    def daemon_place(self) -> str:
        """What every reference of the run begins with, for the container engine's daemon."""
        return f"{self.daemon_host}/{self.prefix}" if self.prefix else self.daemon_host

    @property
    def shuts_engine_out(self) -> bool:
        """Whether no engine can push or pull here: for want of a certificate, or from elsewhere."""
        return self.tls == "mutual" or not self.daemon_host

    def started_in(self, seconds: float) -> Endpoint:
        """The endpoint with the seconds that its start took."""
        return dataclasses.replace(self, start_seconds=seconds)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Endpoint:
        """Read what `to_json` made."""
        pair = value.get("client_cert")
        credentials = Credentials(**value["credentials"])
        client_cert = None if pair is None else (pair[0], pair[1])
        return cls(**{**value, "credentials": credentials, "client_cert": client_cert})

    def to_json(self) -> dict[str, Any]:
        """The endpoint as plain data, password included: only for files of mode 0600."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Birth:
    """What an engine needs to know to start a registry, which ends with the process that does.

    `labels` mark everything that is made in a container engine; `start_timeout` is in seconds.
    `requests` is where a gate writes down what came, `throttle` what holds for the whole run.
    """

    run_id: str
    storage: Path
    log: Path
    labels: Mapping[str, str]
    credentials: Credentials
    start_timeout: float
    security: Security
    requests: Path
    throttle: Throttle | None = None


class Engine(Protocol):
    """Starts one registry, watches it, and removes it.

    `uses_container_engine`: whether starting makes things in a container engine. `has_gate`:
    whether what it starts takes faults and throttles.
    """

    uses_container_engine: bool
    has_gate: bool

    def start(self, birth: Birth) -> Endpoint:
        """Start the registry and return once it listens; raises StartError, EngineUnavailable."""

    def wait(self) -> str:
        """Block until the registry ends by itself, and say in words how it ended."""

    def stop(self) -> None:
        """Remove the registry and what it kept; stopping twice is no error."""
