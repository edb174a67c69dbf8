"""Whichever processes of a run are killed, and whenever, nothing of the run is left."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import FIGURE

if TYPE_CHECKING:
    from tests.sharing.conftest import Place, Process, PytestRun

KILLS = int(os.environ.get("KILLS", "100"))
AT_ONCE = 6
MOST_KILLS_OF_A_RUN = 4
MOST_HEIRS_KILLED = 2
"""With keeper, guardian and controller killed nobody is left to clean up but the next run."""

CONTAINER_SHARE = 0.15
XDIST_SHARE = 0.6
LATE_SHARE = 0.8
"""The part of the kills that come after the registry's start has begun."""

PATIENCE = 30.0
WITHIN = 30.0
"""Seconds in which nothing is left of a run of which two processes were killed."""

ROLES = ("controller", "worker", "keeper", "guardian")
HEIRS = ("controller", "keeper", "guardian")


@dataclass
class Tally:
    """What all threads together have killed, and what was left."""

    kills: int = 0
    runs: int = 0
    left: list[str] = field(default_factory=list)
    roles: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def takes_one(self) -> bool:
        """Whether another kill is wanted; then it is counted."""
        with self.lock:
            wanted = self.kills < KILLS
            self.kills += wanted
            return wanted

    def gives_back(self) -> None:
        """The run had ended before the kill."""
        with self.lock:
            self.kills -= 1

    def note(self, role: str) -> None:
        with self.lock:
            self.roles[role] += 1


def by_role(run: PytestRun) -> dict[str, list[Process]]:
    """The run's living processes."""
    keepers = run.keepers
    parents = {each.parent for each in keepers}
    roles = {
        "controller": [run.controller] if run.process.poll() is None else [],
        "worker": [each for each in run.workers if not each.is_keeper],
        "guardian": [each for each in keepers if each.pid in parents],
        "keeper": [each for each in keepers if each.pid not in parents],
    }
    return {role: found for role, found in roles.items() if found}


def kill_one(run: PytestRun, chance: random.Random, before: list[str]) -> str | None:
    """Kill a process of the run; its role, or None where none is left that may be killed."""
    living = by_role(run)
    if sum(role in HEIRS for role in before) == MOST_HEIRS_KILLED:
        living = {role: found for role, found in living.items() if role not in HEIRS}
    while living:
        role = chance.choice(sorted(living))
        with contextlib.suppress(ProcessLookupError):
            chance.choice(living.pop(role)).kill()
            return role
    return None


def places(place: Place, container_place: Place | None) -> Iterator[tuple[int, Place]]:
    """A place of its own for each run, so that none cleans up after another."""
    for number in range(KILLS * 10):
        often = round(1 / CONTAINER_SHARE)
        origin = container_place if container_place and number % often == 0 else place
        directory = origin.directory / f"run-{number:04}"
        directory.mkdir()
        mark = uuid.uuid4().hex
        environment = {**origin.environment, "TMPDIR": str(directory), "SHARING_RUN": mark}
        yield (
            number,
            replace(
                origin,
                directory=directory,
                environment=environment,
                mark=mark,
                hosts=set(),
                volumes=set(),
                started=[],
            ),
        )


def run_and_kill(place: Place, chance: random.Random, tally: Tally) -> None:
    """One run, of which some processes are killed at moments of chance."""
    xdist = chance.random() < XDIST_SHARE
    run = place.start("short", *(("-n2",) if xdist else ("-p", "no:xdist")))
    killed = kill_some(run, chance, tally)
    run.wait()
    left = place.wait_until_empty(WITHIN)
    with tally.lock:
        tally.runs += 1
        if left:
            tally.left.append("\n".join([f"after {killed}", *left, run.output, *logs(place)]))
    place.close()


def kill_some(run: PytestRun, chance: random.Random, tally: Tally) -> list[str]:
    """Kill one process or several, one after the other; their roles."""
    killed: list[str] = []
    for _ in range(chance.randint(1, MOST_KILLS_OF_A_RUN)):
        if chance.random() < LATE_SHARE:
            wait(run, PATIENCE, until_started=True)
        wait(run, chance.uniform(0.0, 0.8))
        run.place.observe()
        if not tally.takes_one():
            break
        role = kill_one(run, chance, killed)
        if role is None:
            tally.gives_back()
            break
        tally.note(role)
        killed.append(role)
    return killed


def logs(place: Place) -> list[str]:
    return [path.read_text() for path in place.directory.rglob("keeper.log")]


def wait(run: PytestRun, seconds: float, *, until_started: bool = False) -> None:
    """Wait, but not for longer than the run lives."""
    deadline = time.monotonic() + seconds
    while run.process.poll() is None and time.monotonic() < deadline:
        if until_started and any((path / "keeper.lock").exists() for path in run.place.runs):
            return
        time.sleep(0.02)


def test_nothing_is_left_after_a_hundred_random_kills(
    place: Place,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """The environment's KILL_SEED makes the same choices again, though not the same moments."""
    seed = int(os.environ.get("KILL_SEED", str(random.randrange(10**6))))
    try:
        container_place = request.getfixturevalue("container_place")
    except pytest.skip.Exception:
        container_place = None
    tally, every = Tally(), places(place, container_place)
    turn = threading.Lock()

    def keep_killing() -> None:
        while tally.kills < KILLS:
            with turn:
                number, own = next(every)
            run_and_kill(own, random.Random(f"{seed}-{number}"), tally)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for thread in [threads.submit(keep_killing) for _ in range(AT_ONCE)]:
            thread.result()
    roles = ", ".join(f"{tally.roles[role]} {role}s" for role in ROLES)
    record_property(FIGURE, f"seed {seed}: killed {roles} in {tally.runs} runs")
    record_property(FIGURE, f"leftovers after {tally.kills} kills: {len(tally.left)}")
    assert not tally.left, "\n\n".join(tally.left)
    assert sum(tally.roles[role] for role in ROLES) == KILLS
