"""One Ctrl-C at every place of an operation whose slot is a lease in Redis."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from pytest_registry.limits.agent import Agent
from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.slots import UNKNOWN_HOLDER, Claim
from tests.distributed.conftest import REGISTRY, RedisServer
from tests.interrupts import Interrupt, give_back, interrupts, open_files, take

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
    for interrupt in interrupts(first):
        slots = RedisSlots(redis_server.url, REGISTRY, LEASE)
        operation(Limits(slots, LimitPolicy(pull=1, timeout=timeout)), interrupt)
        assert pipes() <= before, f"struck at {interrupt.at}"
        taken(others).release()
    return interrupt.at


def test_one_while_waiting_leaves_nothing(redis_server: RedisServer) -> None:
    others = RedisSlots(redis_server.url, REGISTRY, LEASE)

    def wait(limits: Limits, interrupt: Interrupt) -> None:
        holder = taken(others)
        with interrupt, limits.pull("team/image"):
            raise AssertionError("there are two holders")
        holder.release()

    assert strike(redis_server, wait, timeout=0.001) > 50


def test_one_while_a_slot_is_taken_leaves_nothing(redis_server: RedisServer) -> None:
    def take_one(limits: Limits, interrupt: Interrupt) -> None:
        take(limits.pull("team/image"), interrupt)

    assert strike(redis_server, take_one, timeout=LEASE) > 50


def test_one_while_a_slot_is_given_back_leaves_nothing(redis_server: RedisServer) -> None:
    def give_one(limits: Limits, interrupt: Interrupt) -> None:
        give_back(limits.pull("team/image"), interrupt)

    # But for the first place, the beginning of `__exit__`, where nobody can act yet.
    assert strike(redis_server, give_one, timeout=LEASE, first=1) > 30
