"""One Ctrl-C at every place of an operation whose slot is a lease in Redis."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable

import pytest

from pytest_registry.limits.agent import Agent
from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.slots import UNKNOWN_HOLDER, Claim
from tests.distributed.conftest import REGISTRY, RedisServer
from tests.interrupts import Interrupt, open_files

LEASE = 30.0


@pytest.fixture(autouse=True)
def _no_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Redis is to hear is told by the operation itself, no later and by no other thread."""
    monkeypatch.setattr(Agent, "_beat_on", lambda _: None)


def pipes() -> int:
    return sum(count for name, count in open_files().items() if name.startswith("pipe:"))


def taken(slots: RedisSlots) -> Claim:
    """Take the slot, which comes free long before any lease ends."""
    claim, deadline = slots.claim("pull", 1, UNKNOWN_HOLDER), time.monotonic() + LEASE * 2 / 3
    while not claim.attempt():
        assert time.monotonic() < deadline, "somebody keeps the slot"
        time.sleep(0.005)
    return claim


def strike(
    redis_server: RedisServer,
    operation: Callable[[Limits, Interrupt], None],
    *,
    timeout: float,
    first: int = 0,
) -> int:
    """Run an operation again and again, each time struck one place later; returns how often."""
    others = RedisSlots(redis_server.url, REGISTRY, LEASE)
    gc.collect()  # pipes of earlier tests
    before = pipes()
    for at in itertools.count(1):
        slots = RedisSlots(redis_server.url, REGISTRY, LEASE)
        interrupt = Interrupt(at, first)
        operation(Limits(slots, LimitPolicy(pull=1, timeout=timeout)), interrupt)
        assert pipes() <= before, f"struck at {at}"
        taken(others).release()
        if not interrupt.struck:
            return at
    raise AssertionError


def test_one_while_waiting_leaves_nothing(redis_server: RedisServer) -> None:
    others = RedisSlots(redis_server.url, REGISTRY, LEASE)

    def wait(limits: Limits, interrupt: Interrupt) -> None:
        holder = taken(others)
        with interrupt, limits.pull("team/image"):
            raise AssertionError("there are two holders")
        holder.release()

    assert strike(redis_server, wait, timeout=0.001) > 50


def test_one_while_a_slot_is_taken_leaves_nothing(redis_server: RedisServer) -> None:
    def take(limits: Limits, interrupt: Interrupt) -> None:
        turn = limits.pull("team/image")
        with interrupt:
            turn.__enter__()
        if not interrupt.struck:
            turn.__exit__(None, None, None)

    assert strike(redis_server, take, timeout=LEASE) > 50


def test_one_while_a_slot_is_given_back_leaves_nothing(redis_server: RedisServer) -> None:
    def give_back(limits: Limits, interrupt: Interrupt) -> None:
        turn = limits.pull("team/image")
        turn.__enter__()
        with interrupt:
            turn.__exit__(None, None, None)

    # But for the first place, the beginning of `__exit__`, where nobody can act yet.
    assert strike(redis_server, give_back, timeout=LEASE, first=1) > 30
