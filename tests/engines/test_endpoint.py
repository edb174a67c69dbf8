"""What an endpoint gives to whoever wants to reach the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_registry.clients.config_directory import ConfigDirectory
from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.security.credentials import Credentials

HERE, DAEMONS = "127.0.0.1:5000", "registry.test:5000"


def endpoint(scheme: str, daemon_host: str) -> Endpoint:
    return Endpoint("external", "", "", scheme, HERE, daemon_host, Credentials("pytest", "secret"))


@pytest.mark.parametrize(
    ("scheme", "daemon_host", "plain"),
    [
        ("http", DAEMONS, [HERE, DAEMONS]),
        ("http", HERE, [HERE]),
        pytest.param("http", "", [HERE], id="the engine's daemon cannot reach it"),
        pytest.param("https", HERE, [], id="the system's authorities know it"),
    ],
)
def test_commands_speak_plain_http_with_no_more_hosts_than_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    daemon_host: str,
    plain: list[str],
) -> None:
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "absent"))
    endpoint(scheme, daemon_host).write_client_config(tmp_path / "config")
    written = ConfigDirectory(tmp_path / "config").registries.read_text()
    entries = [f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in plain]
    assert written.count("[[registry]]") == len(entries)
    assert all(entry in written for entry in entries)
