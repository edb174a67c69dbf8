"""What these snippets need beyond the plugin."""

import os
from pathlib import Path

import pytest

NEED_AN_ENGINE = {
    "registry_docker_client",
    "registry_docker_cli",
    "registry_nginx_container",
}


@pytest.fixture(scope="session")
def container_engine(registry):
    """Skip where no engine answers."""
    if not registry.has_container_engine:
        pytest.skip("no Docker or Podman engine answers here")


def pytest_collection_modifyitems(items):
    """Ask for an engine first where a snippet needs one; take nginx from where it is."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent != here:
            continue
        if NEED_AN_ENGINE.intersection(item.fixturenames) or "docker" in item.name:
            item.fixturenames.insert(0, "container_engine")
        if hasattr(item.module, "NGINX"):
            item.module.NGINX = os.environ.get("PYTEST_REGISTRY_SAMPLE_IMAGE", "nginx")
