"""What these snippets need beyond the plugin."""

from pathlib import Path

import pytest

NEED_AN_ENGINE = {"registry_docker_client", "registry_nginx_container"}


@pytest.fixture(scope="session")
def container_engine(registry):
    """Skip where no engine answers."""
    if not registry.has_container_engine:
        pytest.skip("no Docker or Podman engine answers here")


def pytest_collection_modifyitems(items):
    """Ask for an engine first where a snippet needs one."""
    here = Path(__file__).parent
    for item in items:
        needs = NEED_AN_ENGINE.intersection(item.fixturenames) or "docker" in item.name
        if needs and item.path.parent == here:
            item.fixturenames.insert(0, "container_engine")
