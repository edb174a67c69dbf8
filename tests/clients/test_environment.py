"""One container engine for docker-py, testcontainers and commands, however it is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.clients import docker_sdk, engine_address
from pytest_registry.clients.config_directory import ConfigDirectory
from pytest_registry.clients.environment import client_environment, engine_environment
from pytest_registry.errors import EngineUnavailable
from pytest_registry.security.credentials import Credentials, client_auth_config

if TYPE_CHECKING:
    import docker


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's Docker config directory, and no engine named in the environment."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def add_context(home: Path, name: str, host: str, *, current: bool = True) -> None:
    """What `docker context create` (and `use`) writes."""
    meta = home / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    content = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(content))
    if current:
        (home / "config.json").write_text(json.dumps({"auths": {}, "currentContext": name}))


def test_the_current_context_is_said_as_docker_host(home: Path) -> None:
    add_context(home, "mine", "tcp://127.0.0.1:2")
    assert engine_environment()["DOCKER_HOST"] == "tcp://127.0.0.1:2"


def test_docker_context_beats_the_current_one_and_docker_host_both(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_context(home, "mine", "tcp://127.0.0.1:2")
    add_context(home, "other", "tcp://127.0.0.1:3", current=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert engine_environment()["DOCKER_HOST"] == "tcp://127.0.0.1:3"
    assert "DOCKER_CONTEXT" not in engine_environment()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:4")
    assert engine_environment()["DOCKER_HOST"] == "tcp://127.0.0.1:4"


@pytest.mark.parametrize("broken", ["{", "[]", '{"Name": "mine"}'])
def test_a_broken_context_is_told_where_the_engine_is_needed(home: Path, broken: str) -> None:
    add_context(home, "mine", "tcp://127.0.0.1:2")
    next(home.rglob("meta.json")).write_text(broken)
    assert "DOCKER_HOST" not in engine_environment()
    with pytest.raises(EngineUnavailable, match=r"could not reach a container engine: ."):
        docker_sdk.connect()


def test_commands_get_the_login_and_the_engine_and_keep_the_rest(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_context(home, "mine", "tcp://127.0.0.1:2")
    monkeypatch.setenv("SOMETHING_ELSE", "stays")
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.json").write_text(client_auth_config({"a:1": Credentials("me", "secret")}))
    environment = client_environment(config)
    assert environment["DOCKER_CONFIG"] == str(config)
    assert environment["REGISTRY_AUTH_FILE"] == str(config / "config.json")
    assert environment["DOCKER_HOST"] == "tcp://127.0.0.1:2"
    assert environment["SOMETHING_ELSE"] == "stays"
    assert (home / "config.json").read_text().startswith('{"auths": {}')


def test_plugins_of_the_users_docker_command_are_found(home: Path) -> None:
    assert engine_address.user_plugins() == []
    (home / "cli-plugins").mkdir()
    assert engine_address.user_plugins() == [str(home / "cli-plugins")]


def no_user(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def test_a_user_without_a_home_has_no_files_and_that_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_user)
    assert engine_address.user_plugins() == []
    engine_address.is_likely()
    assert "DOCKER_CONTEXT" not in client_environment(tmp_path)
    ConfigDirectory(tmp_path / "config").write(["a:1"], None)


def test_a_config_of_the_users_that_cannot_be_read_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    unreadable = str(tmp_path / ("x" * 300))  # an error for root too, unlike another's directory
    monkeypatch.setenv("DOCKER_CONFIG", unreadable)
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", unreadable)
    assert engine_address.user_plugins() == []
    engine_address.is_likely()
    ConfigDirectory(tmp_path / "config").write(["a:1"], None)


def test_a_config_of_the_users_that_is_no_text_counts_as_none(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.json").write_bytes(b'{"currentContext": "\xff"}')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(home / "config.json"))
    engine_address.is_likely()
    written = ConfigDirectory(tmp_path / "config")
    written.write(["a:1"], None)
    ours = '[[registry]]\nlocation = "a:1"\ninsecure = true'
    assert written.registries.read_text().strip() == ours


def test_docker_py_uses_the_engine_of_the_context(
    engine: docker.DockerClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = engine.api.base_url
    if not socket.startswith("http+docker"):
        pytest.skip("the engine of these tests has no socket")
    address = engine.api._custom_adapter.socket_path
    add_context(home, "mine", f"unix://{address}")
    client = docker_sdk.connect()
    try:
        assert client.info()["ID"] == engine.info()["ID"]
    finally:
        client.close()
