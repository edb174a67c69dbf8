"""A bar shows bytes and layers of a long transfer on a terminal, and is nowhere else."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.report.progress import WORKER, Bar, shown
from tests.conftest import PYTEST

SUITE = """
import os
import time

from pytest_registry import synthetic_image


def test_a_slow_push(registry_factory):
    registry = registry_factory(engine="embedded", storage="memory")
    made = synthetic_image(layers=3, layer_size=100_000)

    class Slow:
        name, flaws = made.name, made.flaws
        root, child = made.root, made.child

        def open(self, descriptor):
            time.sleep(2.5)
            while not os.path.exists("looked-at"):
                time.sleep(0.05)
            return made.open(descriptor)

    registry.client.push(Slow(), "slow/image", "1")
"""


PATIENCE = 30.0
"""Seconds that a bar may take to be drawn, on the busiest machine."""


class Terminal:
    """The reading end of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def text(self) -> str:
        """What was written to it so far."""
        found = b""
        while select.select([self._descriptor], [], [], 0.05)[0]:
            try:
                block = os.read(self._descriptor, 65536)
            except OSError:  # nobody holds the other end any more
                break
            if not block:
                break
            found += block
        return found.decode("utf-8", "replace")

    def until(self, *words: str) -> str:
        """What was written to it until all the words were."""
        found, deadline = "", time.monotonic() + PATIENCE
        while not all(word in found for word in words):
            assert time.monotonic() < deadline, f"{words} are not in {found!r}"
            found += self.text()
        return found


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal as standard error."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv(WORKER, raising=False)
    with os.fdopen(theirs, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        yield Terminal(ours)
    os.close(ours)


def test_a_long_transfer_shows_its_bytes_and_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = synthetic_image(layers=2, layer_size=5000).manifest.layers
    with terminal(monkeypatch) as screen, Bar("push it", patience=0.0) as bar:
        bar.begin(one)
        bar.moved(one, one.size)
        bar.end(one, skipped=False)
        bar.begin(two)
        bar.moved(two, 1000)
        screen.until("push it", "1/2 layers", "kB")


def test_the_lines_of_an_engine_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen, Bar("pull it", patience=0.0) as bar:
        progress = {"current": 500_000, "total": 2_000_000}
        bar.line({"status": "Pulling fs layer", "id": "a"})
        bar.line({"status": "Downloading", "id": "a", "progressDetail": progress})
        bar.line({"status": "Already exists", "id": "b", "progressDetail": {}})
        bar.line({"status": "the end"})
        screen.until("1/2 layers", "0.5/2.0 MB")


def test_a_short_transfer_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen:
        with shown("push it") as bar:
            assert bar is not None
        assert screen.text() == ""


def test_two_at_the_same_time_show_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen:
        with Bar("the first", patience=0.0):
            text = screen.until("the first")
            with Bar("the second", patience=0.0):
                time.sleep(0.5)
        text += screen.text()
        assert "the second" not in text
        with Bar("the third", patience=0.0):
            screen.until("the third")


def test_without_a_terminal_there_is_no_bar() -> None:
    with shown("push it") as bar:
        assert bar is None


def test_in_a_worker_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch):
        monkeypatch.setenv(WORKER, "gw0")
        with shown("push it") as bar:
            assert bar is None


@pytest.mark.parametrize(
    ("options", "is_shown"), [(["-s"], True), ([], False), (["-s", "-n1"], False)], ids=str
)
def test_a_run_shows_a_slow_push_where_output_is_not_captured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], is_shown: bool
) -> None:
    (tmp_path / "test_slow.py").write_text(SUITE)
    monkeypatch.delenv(WORKER, raising=False)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    run = subprocess.Popen(
        [*PYTEST, "-p", "no:cacheprovider", *options, str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    seen = tmp_path / "looked-at"
    if not is_shown:
        seen.touch()
    text, deadline = "", time.monotonic() + PATIENCE
    while run.poll() is None:
        text += Terminal(ours).text()
        if "layers" in text or time.monotonic() > deadline:
            seen.touch()
    text += Terminal(ours).text()
    os.close(ours)
    assert run.returncode == 0, text
    assert ("layers" in text) is is_shown, text
