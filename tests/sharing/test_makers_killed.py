"""Whoever makes a run's directory is killed before its registry is started: nothing is left."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.sharing.conftest import processes

if TYPE_CHECKING:
    from tests.sharing.conftest import Place

MAKER = """
import os, sys
from pytest_registry.settings import Settings
from pytest_registry.sharing.keeper_process import KeeperProcess
from pytest_registry.sharing.owner import Owner
from pytest_registry.sharing.run import private_runs

owner = Owner(Settings.defaults())
run = owner.run
keeper = KeeperProcess(run)
{made}
print("made", flush=True)
sys.stdin.read()
"""

MADE = {
    "nothing": "",
    "the directories above": "private_runs(run.directory.parent)",
    "a part": "private_runs(run.directory.parent); run.unborn(os.getpid()).mkdir()",
    "the whole": "run.make()",
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("also", ["", "the keeper", "the guardian"])
def test_keeper_and_guardian_remove_what_their_starter_had_made(
    made: str, also: str, place: Place
) -> None:
    script = MAKER.format(made=MADE[made])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=place.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"made\n"
        assert place.left()
        both = [each for each in processes(place.mark) if each.is_keeper]
        parents = {each.parent for each in both}
        roles = {"the guardian" if one.pid in parents else "the keeper": one for one in both}
        assert len(roles) == 2
        if also:
            roles[also].kill()
        maker.kill()
    assert not (left := place.wait_until_empty()), "\n".join(left)


@pytest.mark.parametrize("killed", [1, 2, 3], ids=["controller", "and a worker", "all"])
def test_nothing_is_left_where_a_run_is_killed_before_anybody_asked(
    killed: int, place: Place
) -> None:
    run = place.start("waits", "-n2", "--dist=each")
    run.wait_for("waiting-*", 2)
    for process in [run.controller, *run.workers][:killed]:
        process.kill()
    run.say()
    run.wait()
    assert not (left := place.wait_until_empty()), "\n".join(left)
