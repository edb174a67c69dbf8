"""What a signal or another thread does in between: here it comes before one line after another."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from pytest_registry.gate.origin import Origin
from pytest_registry.server import RegistryServer, ServerSettings
from pytest_registry.sharing import keeper, service

LINES = range(12)
"""More than any of the calls here runs from where it can be interrupted."""


def interrupted(
    call: Callable[[], object],
    interrupt: Callable[[], object],
    line: int,
    since: Callable[[], bool] = lambda: True,
) -> bool:
    """Interrupt a call once, before the line of that number since something was so.

    Tells whether it comes to its end all the same.
    """
    ended: list[bool] = []
    left = line

    def trace(_frame: FrameType, event: str, _value: object) -> Any:
        nonlocal left
        if event == "line" and since():
            left -= 1
            if left < 0:
                sys.settrace(None)
                interrupt()
        return trace

    def run() -> None:
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(None)
        ended.append(True)

    thread = threading.Thread(target=run, daemon=True)  # it may hang
    thread.start()
    thread.join(10)
    return bool(ended)


@pytest.mark.parametrize("line", LINES)
def test_a_server_is_stopped_by_a_signal_that_comes_while_another_stops_it(line: int) -> None:
    server = RegistryServer(ServerSettings())
    assert interrupted(server.stop, server.stop, line)
    server.close()  # not if it failed: that would hang, too


@pytest.mark.parametrize("line", LINES)
def test_the_runs_end_interrupts_a_keeper_that_has_just_started_its_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: int
) -> None:
    handlers: dict[int, Callable[[int, None], None]] = {}
    told: list[str] = []

    def start(_: object) -> Any:
        told.append("started")
        return nothing

    def run_ends() -> None:
        handlers[signal.SIGUSR1](signal.SIGUSR1, None)

    nothing = SimpleNamespace(release=lambda: None, join=lambda _: None)
    names = SimpleNamespace(
        SIGTERM=signal.SIGTERM, SIGUSR1=signal.SIGUSR1, signal=handlers.__setitem__
    )
    monkeypatch.setattr(keeper, "signal", names)
    monkeypatch.setattr(keeper, "Lifeline", lambda _: nothing)
    monkeypatch.setattr(keeper, "_in_the_background", lambda *_: nothing)
    monkeypatch.setattr(keeper, "_close_output", lambda: None)
    monkeypatch.setattr(keeper, "_wait_for_the_end", lambda *_: told.append("waited"))
    monkeypatch.setattr(service, "start", start)
    monkeypatch.setattr(service, "stop", lambda *_: told.append("stopped"))
    run: Any = SimpleNamespace(serving=tmp_path / "serving", finished=tmp_path / "finished")
    assert interrupted(lambda: keeper.keep(run), run_ends, line, lambda: bool(told))
    assert told == ["started", "waited", "stopped"]


def test_no_process_but_the_keeper_is_sent_what_its_guardian_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Once a keeper has ended, its number may be another process's."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *sending: sent.append(sending))
    monkeypatch.setattr(keeper, "_close_output", lambda: None)
    monkeypatch.setattr(
        keeper, "wait_until_released", lambda _: signal.raise_signal(signal.SIGTERM)
    )
    monkeypatch.setattr(service, "bury", lambda *_: None)
    monkeypatch.setattr(service, "stop", lambda *_: None)
    run: Any = SimpleNamespace(life=None, finished=tmp_path / "finished")
    ended = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    before = signal.signal(signal.SIGTERM, keeper._pass_on(ended.pid))
    try:
        keeper.guard(run, ended.pid)
    finally:
        signal.signal(signal.SIGTERM, before)
        ended.wait()
    assert sent == []


@pytest.mark.parametrize("line", LINES)
def test_a_kept_connection_that_another_thread_takes_costs_no_request(line: int) -> None:
    origin = Origin("http://127.0.0.1:1", None)
    found: list[object] = []
    here, there = socket.socketpair()
    with here, there:
        connection = http.client.HTTPConnection("127.0.0.1", 1)
        connection.sock = here
        origin.give(connection)
        assert interrupted(lambda: found.append(origin.kept()), origin.close, line)
    assert found[0] in (connection, None)
