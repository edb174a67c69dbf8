"""Slots that machines share: order, death, and a Redis that is away, slow, restarted or empty."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.errors import SlotLost, SlotTimeout, StateError
from pytest_registry.limits.directory import LimitWarning
from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.leases import Answer, Entry, Leases, NoRedis, clock
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.slots import UNKNOWN_HOLDER
from tests.distributed.conftest import LEASE, LONG_LEASE, REGISTRY, served_in_turn, until_waiting
from tests.distributed.conftest import waited_elsewhere as elsewhere

if TYPE_CHECKING:
    from tests.distributed.conftest import RedisServer, Start


def limits_of(
    server: RedisServer,
    count: int = 1,
    timeout: float = 20,
    registry: str = REGISTRY,
    *,
    report: Callable[[str], None] | None = None,
    lease: float = LONG_LEASE,
) -> Limits:
    """Limits of a machine of its own: each call is another client of Redis."""
    policy = LimitPolicy(pull=count, push=count, timeout=timeout)
    return Limits(RedisSlots(server.url, registry, lease), policy, report=report)


def test_one_machines_slot_keeps_another_waiting_until_it_is_given_back(
    redis_server: RedisServer,
) -> None:
    here, there = limits_of(redis_server), limits_of(redis_server, timeout=0.3)
    with here.pull("a/b"), pytest.raises(SlotTimeout) as caught:
        elsewhere(there)
    assert "a/b" in caught.value.holders[0]
    with there.pull():
        pass


def test_waiters_of_several_machines_are_served_in_the_order_of_their_coming(
    redis_server: RedisServer,
) -> None:
    machines = [limits_of(redis_server) for _ in range(5)]
    assert served_in_turn(redis_server, machines) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("short_leases")
def test_pulls_and_pushes_and_other_registries_have_limits_of_their_own(
    redis_server: RedisServer,
) -> None:
    here = limits_of(redis_server, lease=LEASE)
    other = limits_of(redis_server, registry="other.example", lease=LEASE)
    with here.pull(), here.push():
        elsewhere(other)  # or it would wait until its timeout


@pytest.mark.usefixtures("short_leases")
def test_names_of_one_registry_share_its_limit(redis_server: RedisServer) -> None:
    hub = limits_of(redis_server, registry="docker.io", lease=LEASE)
    alias = limits_of(redis_server, registry="Index.Docker.IO", timeout=0.2, lease=LEASE)
    with hub.pull(), pytest.raises(SlotTimeout):
        elsewhere(alias)


def test_a_nested_operation_takes_no_second_slot(redis_server: RedisServer) -> None:
    limits = limits_of(redis_server)
    with limits.pull(), limits.pull(), limits.push():
        assert len(limits.holders("pull")) == 1


def test_asyncio_tasks_wait_without_blocking_the_loop(redis_server: RedisServer) -> None:
    limits = limits_of(redis_server, count=2)
    inside, most, ticks = 0, 0, 0

    async def one() -> None:
        nonlocal inside, most
        async with limits.pull():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.05)
            inside -= 1

    async def all_of_them() -> None:
        nonlocal ticks
        tasks = [asyncio.create_task(one()) for _ in range(8)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.01)
            ticks += 1
        await asyncio.gather(*tasks)

    asyncio.run(all_of_them())
    assert (most, ticks > 1) == (2, True)


def test_never_more_than_n_over_several_machines(
    start: Start, redis_server: RedisServer, tmp_path: Path
) -> None:
    notes, count = tmp_path / "notes", 3
    crowd = [start("crowd", redis_server.url, 10.0, count, notes, 150) for _ in range(6)]
    assert [each.communicate(timeout=100)[0] for each in crowd] == ["done\n"] * 6
    inside, most = 0, 0
    lines = sorted(tuple(map(int, line.split())) for line in notes.read_text().splitlines())
    assert len(lines) == 6 * 150 * 2
    for _, change in lines:
        inside += change
        most = max(most, inside)
    assert most == count


def test_a_machine_that_dies_frees_its_slot_within_the_lease(
    start: Start, redis_server: RedisServer
) -> None:
    holder = start("hold", redis_server.url, LEASE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    time.sleep(LEASE * 1.5)  # it is renewed meanwhile
    with pytest.raises(SlotTimeout):
        elsewhere(limits_of(redis_server, timeout=0.2))
    holder.kill()
    killed = time.monotonic()
    with limits_of(redis_server).pull():
        assert time.monotonic() - killed < LEASE + 8  # of the 20 that it would wait


def test_a_waiting_machine_that_dies_holds_up_nobody_for_longer_than_the_lease(
    start: Start, redis_server: RedisServer
) -> None:
    with limits_of(redis_server).pull():
        waiter = start("hold", redis_server.url, LEASE)
        until_waiting(redis_server, 1)
        waiter.kill()
    with limits_of(redis_server).pull() as operation:
        assert operation.waited < 2 * LEASE + 8


@contextlib.contextmanager
def telling(server: RedisServer) -> Iterator[Callable[[list[Entry]], Answer]]:
    """What Redis is told of claims on the one pull slot, by no process that renews or wakes."""
    leases = Leases(server.url, REGISTRY, LEASE)
    yield functools.partial(leases.tell, "pull", 1)
    leases.close()


def let_an_offer_run_out(told: Callable[[list[Entry]], Answer], *waiters: str) -> list[str]:
    """Offer the first waiter a freed slot for as long as it may take to accept; their places."""
    told([Entry("held", "holder/1", "", "")])
    places = [came for _, came in told([Entry("waiting", one, "", "") for one in waiters]).states]
    told([Entry("gone", "holder/1", "", "")])
    time.sleep(LEASE / 10 + 0.05)
    return places


def test_a_process_that_dies_costs_one_offer_however_many_of_its_waiters_stand_in_line(
    redis_server: RedisServer,
) -> None:
    with telling(redis_server) as told:
        *_, came = let_an_offer_run_out(told, "dead/1", "dead/2", "dead/3", "other/1")
        assert told([Entry("waiting", "other/1", came, "")]).states == (("held", came),)


def test_a_process_that_let_an_offer_run_out_has_its_place_again_when_it_renews(
    redis_server: RedisServer,
) -> None:
    with telling(redis_server) as told:
        first, second, other, _ = let_an_offer_run_out(
            told, "slow/1", "slow/2", "other/1", "other/2"
        )
        told([Entry("held", "other/1", other, "")])
        told([Entry("waiting", "slow/1", first, ""), Entry("waiting", "slow/2", second, "")])
        told([Entry("gone", "other/1", "", "")])
        assert told([Entry("waiting", "slow/1", first, "")]).states == (("held", first),)


def test_another_limit_warns_and_the_recorded_one_counts(redis_server: RedisServer) -> None:
    with limits_of(redis_server, count=1).pull():
        other = limits_of(redis_server, count=2, timeout=0.2)
        with pytest.warns(LimitWarning, match="the pull limit stays 1"), pytest.raises(SlotTimeout):
            elsewhere(other)
    with limits_of(redis_server, count=2).pull():  # nobody used it any more: it may change
        elsewhere(limits_of(redis_server, count=2))


@pytest.mark.usefixtures("short_leases")
def test_a_new_redis_lets_nobody_in_for_the_longest_lease_and_says_so(
    fresh_redis: RedisServer,
) -> None:
    with pytest.raises(SlotTimeout, match="is new or forgot what it knew"):
        elsewhere(limits_of(fresh_redis, timeout=0.2, lease=LEASE))
    with limits_of(fresh_redis, lease=LEASE).pull() as operation:
        assert operation.waited < LEASE + 8


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("event", ["flushed", "restarted"])
def test_a_redis_that_forgets_lets_nobody_in_beside_a_holder(
    redis_server: RedisServer, event: str
) -> None:
    with limits_of(redis_server, lease=LEASE).pull() as operation:
        if event == "flushed":
            redis_server.flush()
        else:
            redis_server.end()
            redis_server.start()
        with pytest.raises(SlotTimeout):
            elsewhere(limits_of(redis_server, timeout=LEASE * 1.6, lease=LEASE))
        operation.check()  # it was renewed: the right is ours still
    with limits_of(redis_server, lease=LEASE).pull():
        pass


@pytest.mark.usefixtures("short_leases")
def test_waiters_come_back_in_their_order_after_a_restart(redis_server: RedisServer) -> None:
    def restart() -> None:
        redis_server.end()
        redis_server.start()
        until_waiting(redis_server, 3)

    machines = [limits_of(redis_server, lease=LEASE) for _ in range(3)]
    assert served_in_turn(redis_server, machines, restart) == [0, 1, 2]


@pytest.mark.parametrize("event", ["ended", "frozen"])
def test_a_holder_that_cannot_renew_knows_that_it_lost_its_right(
    redis_server: RedisServer, event: str
) -> None:
    operation = (turn := limits_of(redis_server, lease=LEASE).pull()).__enter__()
    if event == "ended":
        redis_server.end()
    else:
        redis_server.signal(signal.SIGSTOP)
    operation.transferred(1)
    time.sleep(LEASE + 0.3)
    with pytest.raises(SlotLost):
        operation.transferred(1)
    with pytest.raises(SlotLost, match=f"Redis at 127.0.0.1:{redis_server.port}"):
        turn.__exit__(None, None, None)


def test_waiting_goes_on_while_redis_is_away_and_then_succeeds(redis_server: RedisServer) -> None:
    redis_server.signal(signal.SIGSTOP)
    back = threading.Timer(1.5, redis_server.signal, (signal.SIGCONT,))
    back.start()
    with limits_of(redis_server).pull() as operation:
        assert operation.waited > 0.2
    back.join()


def test_waiting_goes_on_while_redis_follows_another_one(redis_server: RedisServer) -> None:
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        client.execute_command(
            "REPLICAOF", "127.0.0.1", "1"
        )  # as in a fail-over: it takes no writes
        limits = limits_of(redis_server, timeout=0.3)
        with pytest.raises(SlotTimeout, match="takes nothing now"):
            elsewhere(limits)
        back = threading.Timer(1.0, client.execute_command, ("REPLICAOF", "NO", "ONE"))
        back.start()
        with limits_of(redis_server).pull() as operation:
            assert operation.waited > 0.2
        back.join()


def test_past_the_timeout_the_error_names_redis_and_never_the_password(
    redis_server: RedisServer,
) -> None:
    redis_server.end()
    url = redis_server.url.replace("redis://", "redis://user:the-secret@")
    limits = Limits(RedisSlots(url, REGISTRY, LEASE), LimitPolicy(pull=1, timeout=0.5))
    with pytest.raises(SlotTimeout) as caught:
        elsewhere(limits)
    assert f"Redis at 127.0.0.1:{redis_server.port} does not answer" in str(caught.value)
    assert "the-secret" not in str(caught.value)


def test_a_long_wait_is_reported_with_its_cause(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_registry.limits.waiting.FIRST_REPORT", 0.2)
    said: list[str] = []
    redis_server.end()
    with pytest.raises(SlotTimeout):
        elsewhere(limits_of(redis_server, timeout=5, report=said.append))
    assert "does not answer" in said[0]


def test_a_wrong_password_is_told_at_once(redis_server: RedisServer) -> None:
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("requirepass", "right")
    for login in ("", ":wrong@"):
        url = redis_server.url.replace("redis://", f"redis://{login}")
        limits = Limits(RedisSlots(url, REGISTRY, LEASE), LimitPolicy(pull=1))
        for _ in range(2):  # the second one does not wait in vain either
            with pytest.raises(StateError, match="keep the limits in Redis at"):
                elsewhere(limits)
    url = redis_server.url.replace("redis://", "redis://:right@")
    with Limits(RedisSlots(url, REGISTRY, LEASE), LimitPolicy(pull=1)).pull():
        pass


def test_a_forked_child_gives_nothing_back_and_can_ask_for_itself(
    redis_server: RedisServer,
) -> None:
    limits = limits_of(redis_server, count=2)
    turn = limits.pull()
    turn.__enter__()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # one that hangs is ended
        turn.__exit__(None, None, None)
        fine = len(limits.holders("pull")) == 1
        with limits.pull():
            fine = fine and len(limits.holders("pull")) == 2
        os._exit(0 if fine else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert len(limits.holders("pull")) == 1
    turn.__exit__(None, None, None)
    assert not limits.holders("pull")


def test_a_renewals_answer_that_is_older_than_the_grant_takes_no_slot_away(
    redis_server: RedisServer,
) -> None:
    claim = RedisSlots(redis_server.url, REGISTRY, LONG_LEASE).claim("pull", 1, UNKNOWN_HOLDER)
    before = clock()
    assert claim.attempt()
    claim.note_renewed(("waiting", "1"), before)
    assert claim.trouble() == ""
    claim.note_renewed(("waiting", "1"), clock())
    assert claim.trouble() == "Redis gave its slot to somebody else"
    claim.release()


def test_what_is_given_back_during_a_renewal_is_not_renewed_after_it(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = RedisSlots(redis_server.url, REGISTRY, LONG_LEASE)
    claim, agent = slots.claim("pull", 1, UNKNOWN_HOLDER), slots._own_agent()
    assert claim.attempt()
    tell, begun, go_on = Leases.tell, threading.Event(), threading.Event()

    def tell_late(self: Leases, *arguments: Any, **options: Any) -> Answer:
        if threading.current_thread().name.startswith("renewal"):
            if begun.is_set():  # what is told once cannot be mended: the process may be dead by now
                raise NoRedis("it is gone")
            begun.set()
            go_on.wait(30)
        return tell(self, *arguments, **options)

    monkeypatch.setattr(Leases, "tell", tell_late)
    with ThreadPoolExecutor(thread_name_prefix="renewal") as one, ThreadPoolExecutor() as other:
        renewal = one.submit(agent._beat)
        assert begun.wait(30)
        giving_back = other.submit(claim.release)
        wait([giving_back], timeout=0.5)
        go_on.set()
        wait([renewal, giving_back])
    assert slots.holders("pull", 1) == []


def test_leases_are_renewed_though_the_thread_could_not_start_at_first(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    slots = RedisSlots(redis_server.url, REGISTRY, LONG_LEASE)
    limits = Limits(slots, LimitPolicy(pull=1))
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="new thread"):
            limits.pull().__enter__()
    with limits.pull():
        thread = slots._own_agent()._thread
        assert thread is not None
        assert thread.is_alive()
