"""Limits in asyncio: no thread is blocked, and cancelling leaves nothing held."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from pytest_registry.errors import SlotTimeout
from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.polled import PolledSlots
from pytest_registry.limits.slots import Event, Slots
from pytest_registry.limits.waiting import pause_async


def limits_of(slots: Slots, pull: int = 1, timeout: float = 20) -> Limits:
    return Limits(slots, LimitPolicy(pull=pull, push=1, timeout=timeout))


async def most_at_once(limits: Limits, tasks: int = 10) -> int:
    inside: list[int] = []
    most: list[int] = []

    async def work(number: int) -> None:
        for _ in range(5):
            async with limits.pull():
                inside.append(number)
                most.append(len(inside))
                await asyncio.sleep(0.002)
                inside.remove(number)

    await asyncio.gather(*[work(number) for number in range(tasks)])
    return max(most)


@pytest.mark.parametrize("mechanism", ["ring", "polled"])
def test_tasks_never_pass_the_limit_and_reach_it(base: Path, mechanism: str) -> None:
    slots = file_slots("localhost:5000", base) if mechanism == "ring" else PolledSlots(base)
    assert asyncio.run(most_at_once(limits_of(slots, pull=3))) == 3


def test_tasks_keep_a_narrowed_limit(base: Path) -> None:
    limits = limits_of(file_slots("localhost:5000", base), pull=5).narrowed(pull=2)
    assert asyncio.run(most_at_once(limits)) == 2


def test_the_loop_runs_on_while_a_task_waits(base: Path) -> None:
    limits = limits_of(file_slots("localhost:5000", base))

    async def work() -> float:
        held = asyncio.Event()

        async def hold() -> None:
            async with limits.pull():
                held.set()
                for _ in range(20):  # ends only if the loop goes round beside the waiting task
                    await asyncio.sleep(0.005)

        holder = asyncio.create_task(hold())
        await held.wait()
        waited = await one_pull(limits)
        assert holder.done()
        return waited

    assert asyncio.run(work()) > 0.05


async def one_pull(limits: Limits) -> float:
    async with limits.pull() as operation:
        return operation.waited


@pytest.mark.parametrize("mechanism", ["ring", "polled"])
def test_cancelling_a_waiting_task_leaves_nothing_held(base: Path, mechanism: str) -> None:
    slots = file_slots("localhost:5000", base) if mechanism == "ring" else PolledSlots(base)
    limits = limits_of(slots)

    async def work() -> float:
        started = asyncio.Event()

        async def hold() -> None:
            async with limits.pull():
                started.set()
                await asyncio.sleep(30)

        holder = asyncio.create_task(hold())
        await started.wait()
        waiting = [asyncio.create_task(one_pull(limits)) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in waiting[:3]:
            task.cancel()
        results = await asyncio.gather(*waiting[:3], return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        holder.cancel()
        return await waiting[3]

    assert asyncio.run(work()) > 0
    assert list(limits.holders("pull")) == []


def test_a_timeout_is_raised_in_the_task(base: Path) -> None:
    slots = file_slots("localhost:5000", base)

    async def work() -> None:
        held = asyncio.Event()

        async def hold() -> None:
            async with limits_of(slots).pull("samples/nginx"):
                held.set()
                await asyncio.sleep(30)

        holder = asyncio.create_task(hold())
        await held.wait()
        try:
            await one_pull(limits_of(slots, timeout=0.1))
        finally:
            holder.cancel()

    with pytest.raises(SlotTimeout, match="samples/nginx"):
        asyncio.run(work())


def test_parts_of_one_operation_share_its_slot_one_after_the_other(base: Path) -> None:
    limits = limits_of(file_slots("localhost:5000", base), timeout=5)

    async def work() -> int:
        async with limits.pull("whole"):
            return await most_at_once(limits)

    assert asyncio.run(work()) == 1


def test_a_part_in_a_thread_of_the_task_takes_no_second_slot(base: Path) -> None:
    limits = limits_of(file_slots("localhost:5000", base), timeout=5)

    def blocking() -> int:
        with limits.pull("part"):
            return len(limits.holders("pull"))

    async def work() -> int:
        async with limits.pull("whole"):
            return await asyncio.to_thread(blocking)

    assert asyncio.run(work()) == 1


def test_a_task_that_outlives_the_operation_takes_a_slot_of_its_own(base: Path) -> None:
    limits = limits_of(file_slots("localhost:5000", base), pull=2, timeout=5)

    async def late(ended: asyncio.Event) -> int:
        await ended.wait()
        async with limits.pull():
            return len(limits.holders("pull"))

    async def work() -> int:
        ended = asyncio.Event()
        async with limits.pull():
            task = asyncio.create_task(late(ended))
        async with limits.pull():
            ended.set()
            return await task

    assert asyncio.run(work()) == 2


def test_limits_decorate_coroutine_functions(base: Path) -> None:
    limits = limits_of(file_slots("localhost:5000", base))

    @limits.push
    async def push() -> int:
        await asyncio.sleep(0)
        return len(limits.holders("push"))

    assert asyncio.run(push()) == 1
    assert asyncio.iscoroutinefunction(push)


def test_a_task_that_may_open_no_more_files_leaves_none_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = os.pipe()
    copies: list[int] = []
    dup = os.dup

    def one_copy(descriptor: int) -> int:
        if copies:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        copies.append(dup(descriptor))
        return copies[-1]

    monkeypatch.setattr(os, "dup", one_copy)
    with pytest.raises(OSError, match="Too many open files"):
        asyncio.run(pause_async(Event(ends, 20)))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copies[0])
    for end in ends:
        os.close(end)
