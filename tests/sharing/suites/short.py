"""Short tests that push and read, as most suites do."""

import time

import pytest

from pytest_registry import Registry, synthetic_image


@pytest.mark.parametrize("number", range(6))
def test_pushes_and_reads(registry: Registry, registry_namespace: str, number: int) -> None:
    pushed = registry.push(synthetic_image(), f"{registry_namespace}/image")
    time.sleep(0.25)  # so that not all of the run is its start
    assert registry.tags(pushed.repository) == ["latest"]
