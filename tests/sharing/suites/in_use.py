"""Tests that use the registry, say so, and use it again when they are told to go on."""

import os
from collections.abc import Callable

import pytest

from pytest_registry import Registry, synthetic_image

Signal = Callable[[str], None]


@pytest.mark.parametrize("number", range(int(os.environ.get("TESTS", "2"))))
def test_uses_the_registry(
    registry: Registry, registry_namespace: str, say: Signal, wait_for: Signal, number: int
) -> None:
    name = f"{registry_namespace}/image"
    if registry.engine == "container":
        # So there is a tag in the engine, which must go.
        registry.push("pytest-registry-ci/nginx:1", name)
        registry.pull(name)
    else:
        registry.push(synthetic_image(), name)
    say("using")
    wait_for("go")
    assert registry.tags(name) == ["latest"]
    if "FAIL" in os.environ:
        pytest.fail("as asked for")
