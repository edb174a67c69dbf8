"""One Ctrl-C at every place of an operation, one after the other (see interrupts.py).

Processes that are struck by real signals, at random, are in test_crashes.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_registry.limits.directory import private_directory
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.polled import PolledSlots
from pytest_registry.limits.ring import RingSlots
from pytest_registry.limits.running import running
from pytest_registry.limits.slots import UNKNOWN_HOLDER, Slots
from tests.interrupts import Interrupt, open_files


@dataclass(frozen=True)
class Scene:
    """An operation's limits, the same slots as another process sees them, and what strikes it."""

    limits: Limits
    others: Slots
    interrupt: Interrupt


Strike = Callable[[Callable[[Scene], None]], int]


@pytest.fixture(params=[RingSlots, PolledSlots])
def strike(base: Path, request: pytest.FixtureRequest) -> Strike:
    """Run an operation again and again, each time struck one place later; returns how often.

    Whatever a struck one leaves shows in what is open, in who holds a slot, and in what this thread
    is inside of.
    """

    def run(operation: Callable[[Scene], None]) -> int:
        for at in itertools.count(1):
            directory, interrupt = private_directory(base / str(at)), Interrupt(at)
            slots, others = request.param(directory), request.param(directory)
            limits = Limits(slots, LimitPolicy(pull=1, timeout=0.001))
            assert (
                list(limits.holders("pull")) + list(others.holders("pull", 1)) == []
            )  # opens files
            before = open_files()
            operation(Scene(limits, others, interrupt))
            left = list((open_files() - before).elements())
            inside = [each for each in running.get() if each.active]
            assert (at, left, limits.holders("pull"), inside) == (at, [], [], [])
            if not interrupt.struck:
                return at
        raise AssertionError

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
    def take(scene: Scene) -> None:
        turn = scene.limits.pull("team/image")
        with scene.interrupt:
            turn.__enter__()
        if not scene.interrupt.struck:
            turn.__exit__(None, None, None)

    assert strike(take) > 50


def test_one_while_a_slot_is_given_back_leaves_nothing(strike: Strike) -> None:
    def give_back(scene: Scene) -> None:
        turn = scene.limits.pull("team/image")
        turn.__enter__()
        scene.interrupt.places = itertools.count()  # none can act before `__exit__` has begun
        with scene.interrupt:
            turn.__exit__(None, None, None)

    assert strike(give_back) > 30
