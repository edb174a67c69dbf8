"""What this suite needs beyond the plugin."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def needs_a_container_engine(registry):
    """Skip where no engine answers: docker and docker-py push and run images through one."""
    if not registry.has_container_engine:
        pytest.skip("no Docker or Podman engine answers here; see examples/anywhere")
