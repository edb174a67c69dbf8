"""One Ctrl-C at every place of an operation, one after the other (see interrupts.py).

Processes that are struck by real signals, at random, are in test_crashes.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest

from pytest_registry.limits.directory import private_directory
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.polled import PolledSlots
from pytest_registry.limits.ring import RingSlots
from pytest_registry.limits.running import running
from pytest_registry.limits.slots import UNKNOWN_HOLDER, Slots
from tests.interrupts import Interrupt, give_back, interrupts, open_files, take


@dataclass(frozen=True)
class Scene:
    """An operation's limits, the same slots as another process sees them, and what strikes it."""

    limits: Limits
    others: Slots
    interrupt: Interrupt


Strike = Callable[..., int]


def scene_in(base: Path, mechanism: Callable[[Path], Slots], interrupt: Interrupt) -> Scene:
    directory = private_directory(base / str(interrupt.at))
    limits = Limits(mechanism(directory), LimitPolicy(pull=1, timeout=0.001))
    return Scene(limits, mechanism(directory), interrupt)


@pytest.fixture(params=[RingSlots, PolledSlots])
def mechanism(request: pytest.FixtureRequest) -> Callable[[Path], Slots]:
    """Each mechanism for one machine."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def strike(base: Path, mechanism: Callable[[Path], Slots]) -> Strike:
    """Run an operation again and again, each time struck one place later; returns how often.

    Whatever a struck one leaves shows in what is open, in who holds a slot, and in what this thread
    is inside of.
    """

    def run(operation: Callable[[Scene], None], first: int = 0) -> int:
        for interrupt in interrupts(first):
            scene = scene_in(base, mechanism, interrupt)
            # To ask opens the files that stay open.
            assert [*scene.limits.holders("pull"), *scene.others.holders("pull", 1)] == []
            before = open_files()
            operation(scene)
            left = list((open_files() - before).elements())
            inside = [each for each in running.get() if each.active]
            at = interrupt.at
            assert (at, left, scene.limits.holders("pull"), inside) == (at, [], [], [])
        return at

    return run


def test_one_while_waiting_leaves_nothing(strike: Strike) -> None:
    def wait(scene: Scene) -> None:
        claims = [scene.others.claim("pull", 1, UNKNOWN_HOLDER) for _ in range(2)]
        assert [claim.attempt() for claim in claims] == [True, False]
        with scene.interrupt, scene.limits.pull("team/image"):
            raise AssertionError("there are two holders")
        for claim in claims:
            claim.release()

    assert strike(wait) > 50


def test_one_while_waiting_in_a_narrowed_limit_leaves_nothing(strike: Strike) -> None:
    def wait(scene: Scene) -> None:
        narrowed = scene.limits.narrowed(pull=1)
        first = narrowed.pull("team/first")
        context = copy_context()
        context.run(first.__enter__)  # as another thread: inside of it there would be no waiting
        with scene.interrupt, narrowed.pull("team/second"):
            raise AssertionError("there are two holders")
        context.run(first.__exit__, None, None, None)

    assert strike(wait) > 50


def test_one_while_a_slot_is_taken_leaves_nothing(strike: Strike) -> None:
    assert strike(lambda scene: take(scene.limits.pull("team/image"), scene.interrupt)) > 50


def test_one_while_a_slot_is_given_back_leaves_nothing(strike: Strike) -> None:
    def give_one(scene: Scene) -> None:
        give_back(scene.limits.pull("team/image"), scene.interrupt)

    # But for the first place, the beginning of `__exit__`, where nobody can act yet.
    assert strike(give_one, first=1) > 30


def test_one_while_the_first_files_are_opened_holds_up_nobody(
    base: Path, mechanism: Callable[[Path], Slots]
) -> None:
    def serve(slots: Slots, served: Event) -> None:
        claim = slots.claim("pull", 1, UNKNOWN_HOLDER)
        if claim.attempt():
            served.set()
        claim.release()

    for interrupt in interrupts():
        scene, served = scene_in(base, mechanism, interrupt), Event()
        take(scene.limits.pull("team/image"), interrupt)
        # In a thread, as a lock may be waited for without end.
        Thread(target=serve, args=[scene.others, served], daemon=True).start()
        assert (interrupt.at, served.wait(30)) == (interrupt.at, True)
    assert interrupt.at > 50
