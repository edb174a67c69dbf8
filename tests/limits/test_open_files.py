"""A slot takes open files, of which a process may have only so many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the system counts no open files")

CLAIMS = """
import os, resource, sys
from pathlib import Path
from pytest_registry.errors import OptionError
from pytest_registry.limits.ring import RingSlots
from pytest_registry.limits.slots import UNKNOWN_HOLDER

base, soft, hard, count = Path(sys.argv[1]), *map(int, sys.argv[2:])
base.mkdir(mode=0o700)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
slots = RingSlots(base)
try:
    for _ in range(3):
        try:
            assert slots.claim("pull", count, UNKNOWN_HOLDER).attempt()
            print("taken", end=" ")
        except OptionError as error:
            print(error)
finally:
    for _ in range(50):  # what the tests themselves may open then
        os.open(os.devnull, os.O_RDONLY)
print("room")
"""


def claims(base: Path, *numbers: int) -> str:
    """What a process says that claims slots: by its soft and hard limit of files, and theirs."""
    command = [sys.executable, "-c", CLAIMS, str(base), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("soft", [128, 420, 1024])
def test_a_process_lets_itself_open_the_files_of_many_slots(soft: int, tmp_path: Path) -> None:
    assert claims(tmp_path / "base", soft, 1024, 200) == "taken taken taken room\n"


@pytest.mark.parametrize("hard", [256, 420])
def test_more_slots_than_it_may_have_files_for_are_refused_with_both_limits(
    hard: int, tmp_path: Path
) -> None:
    *told, room = claims(tmp_path / "base", 128, hard, 200).splitlines()
    assert room == "room"
    assert told[0] == (
        "could not use 200 as the registry's pull_limit: a slot takes 2 open files,"
        f" and this process may have no more than {hard}"
    )
    assert told[1].startswith("What to do: lower --registry-pull-limit")
    assert "`ulimit -n 4" in told[1]
    assert told.count(told[0]) == 3
