"""Tests of which one worker is on another machine, as far as it can see: it shares no files."""

import os

import pytest

from pytest_registry import Registry
from pytest_registry.sharing import run

if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
    run.this_machine = lambda: "elsewhere/another-boot"
    told = run.Run.from_json
    nowhere = {"directory": "/no/such/directory"}
    setattr(run.Run, "from_json", lambda value: told({**value, **nowhere}))  # noqa: B010


@pytest.mark.parametrize("number", range(4))
def test_uses_the_registry(registry: Registry, number: int) -> None:
    assert registry.repositories() == []
