"""Snippets of "Keep within a registry's limits"."""

import asyncio
import sys

import pytest

from pytest_registry import SlotTimeout


def test_a_tool_takes_a_slot(registry):
    with registry.limits.pull("samples/nginx") as operation:
        registry.client.ping()  # what your tool does
    assert operation.waited >= 0


def test_a_command_takes_a_slot(registry, registry_env):
    registry.limits.run_push([sys.executable, "-c", "print('pushed')"], env=registry_env)


def test_a_task_takes_a_slot(registry):
    async def pull():
        async with registry.limits.pull("samples/nginx"):
            await asyncio.sleep(0)

    asyncio.run(pull())


def test_a_function_takes_a_slot(registry):
    @registry.limits.push
    def deploy(name):
        return f"deployed {name}"

    assert deploy("app") == "deployed app"


def test_a_mirror_takes_both(registry):
    with registry.limits.pull("samples/nginx"), registry.limits.push("mirror/nginx"):
        registry.client.ping()  # what your tool does


@pytest.mark.registry_limits(pull=2)
def test_never_more_than_two_pulls(registry):
    assert registry.limits.policy.pull == 2


def test_who_holds_the_slots(registry):
    with registry.limits.pull("samples/nginx"):
        holder = registry.limits.holders("pull")[0]
    assert holder.repository == "samples/nginx"
    assert "test_who_holds_the_slots" in holder.test


def test_waiting_ends(registry_factory):
    registry = registry_factory(engine="embedded", pull_limit=1, slot_timeout=1)
    other = registry.limits.narrowed()  # as another process would have them

    async def pull(seconds):
        async with other.pull("samples/nginx"):
            await asyncio.sleep(seconds)

    async def both():
        await asyncio.gather(pull(3), pull(3))

    with pytest.raises(SlotTimeout) as late:
        asyncio.run(both())
    assert "samples/nginx" in late.value.holders[0]
