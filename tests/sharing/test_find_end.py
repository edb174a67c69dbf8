"""Whoever fails to use the registry learns whether it ended, by whatever is left of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.security.credentials import Credentials
from pytest_registry.settings import Settings
from pytest_registry.sharing import state
from pytest_registry.sharing.attach import find_end
from pytest_registry.sharing.liveness import Lifeline
from pytest_registry.sharing.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run of this process; nothing is started for it."""
    made = Run.planned(Settings.defaults(state_dir=str(tmp_path / "state")))
    life = made.make_with_life()
    made.registry_log.write_text("its last line\n")
    yield made
    life.release()


@pytest.fixture
def proxy() -> Iterator[str]:
    """What takes connections and ends them, as an engine's proxy for a container that is gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):  # closed
                while True:
                    server.accept()[0].close()

        threading.Thread(target=take, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def started(run: Run, host: str, engine: str) -> None:
    endpoint = Endpoint(engine, "", "", "http", host, host, Credentials.random())
    state.write_endpoint(run, endpoint)


@pytest.mark.parametrize("engine", ["container", "embedded"])
def test_a_registry_whose_keepers_are_dead_has_ended_though_its_port_is_open(
    run: Run, proxy: str, engine: str
) -> None:
    started(run, proxy, engine)
    end = find_end(run, "list tags")
    assert end is not None
    assert "its keeper processes were killed" in str(end)
    assert "its last line" in str(end)


def test_the_end_is_waited_for_where_only_a_proxy_takes_connections(
    run: Run, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_registry.sharing.attach.BURIAL", 60)
    started(run, proxy, "container")
    tell = threading.Timer(0.3, state.write_end, (run, "the container was removed", ["a line"]))
    with ExitStack() as keepers:
        for lock in (run.keeper, run.serving):
            keepers.callback(Lifeline(lock).release)
        tell.start()
        end = find_end(run, "list tags")
    tell.join()
    assert end is not None
    assert "the container was removed" in str(end)


def test_nobody_looks_for_the_end_of_a_registry_that_is_not_the_runs_own(run: Run) -> None:
    started(run, "registry.example", "external")
    with ExitStack() as keepers:
        for lock in (run.keeper, run.serving):
            keepers.callback(Lifeline(lock).release)
        assert find_end(run, "list tags") is None
    assert find_end(run, "list tags") is None


def test_a_registry_that_takes_connections_and_has_its_keeper_has_not_ended(
    run: Run, proxy: str
) -> None:
    started(run, proxy, "embedded")
    with ExitStack() as keepers:
        for lock in (run.keeper, run.serving):
            keepers.callback(Lifeline(lock).release)
        assert find_end(run, "list tags") is None
