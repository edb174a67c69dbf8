"""Locks that tell whether a process lives: on files with a name, and on files without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_registry.security.locks import locked
from pytest_registry.settings import Settings
from pytest_registry.sharing import owner
from pytest_registry.sharing.liveness import (
    Lifeline,
    UnnamedFile,
    is_held,
    wait_until_released,
)
from pytest_registry.sharing.run import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels have none of them")


HOLDS = """
import signal
from pytest_registry.sharing.liveness import Lifeline, UnnamedFile
file = UnnamedFile()
life = Lifeline(file.path)
print(file.path, flush=True)
signal.pause()
life.release()
"""


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds the lock of an unnamed file, and the file's path."""
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_an_unnamed_files_lock_is_seen_by_others_until_its_holder_is_killed(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    process, path = holder
    assert is_held(path)
    process.kill()
    wait_until_released(path)
    process.wait()
    assert not is_held(path)
    with pytest.raises(FileNotFoundError), locked(path):
        pass


def test_a_path_that_leads_to_a_file_of_another_process_is_not_taken_for_ours(
    tmp_path: Path,
) -> None:
    """As where a process was given the id of one that is gone."""
    with (tmp_path / "theirs").open("w") as file:
        Lifeline(tmp_path / "theirs")
        path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        assert not is_held(path)
        wait_until_released(path)
        with pytest.raises(FileNotFoundError), locked(path):
            pass


def test_a_path_does_not_lead_to_an_unnamed_file_that_another_process_has_there_now() -> None:
    """As where the process that was given the id is a run of ours too."""
    gone, theirs = UnnamedFile(), UnnamedFile()
    (_, name), (descriptor, _) = (each.path.name.split(":") for each in (gone, theirs))
    path = theirs.path.with_name(f"{descriptor}:{name}")
    gone.close()
    life = Lifeline(theirs.path)
    assert is_held(theirs.path)
    assert not is_held(path)
    wait_until_released(path)
    life.release()
    theirs.close()


@pytest.mark.parametrize("unnamed", [True, False], ids=["unnamed files", "none to be had"])
def test_a_run_that_nobody_asks_leaves_nothing(
    unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unnamed:
        monkeypatch.setattr(owner, "_unnamed_files", lambda _count: [])
    state = tmp_path / "state"
    mine = owner.Owner(Settings.defaults(state_dir=str(state)))
    assert is_held(mine.run.life)
    assert state.exists() is not unnamed
    assert Run.from_json(mine.run.to_json()) == mine.run
    mine.finish()
    assert not is_held(mine.run.life)
    assert not (state.exists() and list(state.iterdir()))
