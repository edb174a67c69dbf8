"""Leaves the walk-through out where no container engine answers; it is not a part of it."""

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Ask for an engine first, and take nginx from where it is."""
    for item in items:
        if item.path.parent == Path(__file__).parent and hasattr(item.module, "NGINX"):
            item.fixturenames.insert(0, "container_engine")
            item.module.NGINX = os.environ.get("PYTEST_REGISTRY_SAMPLE_IMAGE", "nginx")


@pytest.fixture(scope="session")
def container_engine(registry):
    """Skip where no engine answers."""
    if not registry.has_container_engine:
        pytest.skip("no Docker or Podman engine answers here")
