"""Snippets of "Keep within a registry's limits"."""

import asyncio
import sys

import pytest


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


@pytest.mark.registry_limits(pull=2)
def test_never_more_than_two_pulls(registry):
    assert registry.limits.policy.pull == 2
