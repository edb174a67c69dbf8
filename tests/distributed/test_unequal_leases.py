"""Machines whose leases have different lengths, and leases that are over before they are used."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.errors import OptionError, SlotLost, SlotTimeout
from pytest_registry.limits.agent import Agent
from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.leases import Answer, Leases
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.options import LONGEST_LEASE
from tests.distributed.conftest import (
    LEASE,
    REGISTRY,
    limits_of,
    served_in_turn,
    waited_elsewhere,
)

if TYPE_CHECKING:
    from tests.distributed.conftest import RedisServer, Start

SHORT = LEASE / 4


def holding(
    start: Start, server: RedisServer, lease: float, count: int = 1
) -> subprocess.Popen[str]:
    """Another machine that holds a slot."""
    holder = start("hold", server.url, lease, count)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    return holder


def test_a_holder_keeps_its_slot_beside_a_machine_with_a_shorter_lease(
    start: Start, redis_server: RedisServer
) -> None:
    holding(start, redis_server, SHORT, count=2)
    slots = RedisSlots(redis_server.url, REGISTRY, LEASE)
    with Limits(slots, LimitPolicy(pull=2)).pull() as operation:
        time.sleep(LEASE)  # it renews every LEASE / 4
        operation.check()


def test_a_waiter_with_a_long_lease_keeps_its_place_before_one_with_a_short_one(
    redis_server: RedisServer,
) -> None:
    machines = [limits_of(redis_server.url, lease) for lease in (LEASE, SHORT)]
    assert served_in_turn(redis_server, machines, lambda: time.sleep(LEASE)) == [0, 1]


@pytest.mark.usefixtures("short_leases")
def test_after_a_flush_a_short_lease_lets_nobody_in_beside_a_holder_with_a_long_one(
    redis_server: RedisServer,
) -> None:
    with limits_of(redis_server.url, LEASE).pull() as operation:
        redis_server.flush()
        with pytest.raises(SlotTimeout):
            waited_elsewhere(limits_of(redis_server.url, SHORT, timeout=LEASE * 1.5))
        operation.check()


@pytest.mark.usefixtures("short_leases")
def test_after_a_flush_nobody_is_let_in_before_the_lease_of_an_unheard_holder_is_over(
    start: Start, redis_server: RedisServer
) -> None:
    holder = holding(start, redis_server, LEASE)
    holder.send_signal(signal.SIGSTOP)
    redis_server.flush()
    flushed = time.monotonic()
    with limits_of(redis_server.url, SHORT).pull():
        assert time.monotonic() - flushed >= LEASE


@pytest.mark.parametrize("lease", [0.0, -1.0, LONGEST_LEASE + 1])
def test_a_lease_that_others_do_not_wait_for_is_refused(lease: float) -> None:
    with pytest.raises(OptionError, match=f"more than 0 and at most {LONGEST_LEASE:g} s"):
        RedisSlots("redis://127.0.0.1:1", REGISTRY, lease)


def test_what_nobody_uses_is_forgotten_after_a_week(redis_server: RedisServer) -> None:
    import redis

    with (
        limits_of(redis_server.url, LEASE).pull(),
        redis.Redis.from_url(redis_server.url) as client,
    ):
        left = {client.ttl(key) for key in client.keys("*")}
    assert left
    assert -1 not in left, "a key stays for ever"
    assert max(left) <= 7 * 86400


# A lease that is over ----------------------------------------------------------------------------


def test_a_lease_that_was_slept_through_is_asked_for_again_before_the_body_runs(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, slept = Leases.tell, list[str]()

    def sleep_once(self: Leases, *arguments: Any, **options: Any) -> Answer:
        answer = tell(self, *arguments, **options)
        if options.get("ask") and not slept:  # as a process that is stopped before it reads on
            slept.append(answer.states[0][0])
            time.sleep(LEASE)
        return answer

    monkeypatch.setattr(Leases, "tell", sleep_once)
    monkeypatch.setattr(Agent, "_beat_on", lambda _: None)  # its heart stands still as well
    with limits_of(redis_server.url, LEASE / 2).pull() as operation:
        operation.check()
    assert slept == ["held"]


def test_a_pull_that_ends_while_its_push_is_waited_for_is_told_before_the_body_runs(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, begun = limits_of(redis_server.url, SHORT), list[str]()
    pull = limits.pull()
    pull.__enter__()
    monkeypatch.setattr(Agent, "_beat", lambda _: time.sleep(SHORT * 2))
    time.sleep(SHORT * 2)
    with pytest.raises(SlotLost, match="keep the pull slot"), limits.push():
        begun.append("push")
    with pytest.raises(SlotLost):
        pull.__exit__(None, None, None)
    assert not begun
