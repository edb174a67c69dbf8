"""testcontainers' `DockerRegistryContainer`, as its documentation shows it.

Its reaper is off, since its image cannot be pulled here, and `get_registry()` is not used: on a
machine with /.dockerenv it gives an address that the engine does not trust.
"""

import os
from collections.abc import Iterator

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
os.environ["TESTCONTAINERS_HOST_OVERRIDE"] = "127.0.0.1"

import pytest

from benchmarks.peers.names import NGINX, OLDER_REGISTRY, PASSWORD, USERNAME, push


@pytest.fixture(scope="session")
def login() -> Iterator[str]:
    """A registry container with an account."""
    try:
        from testcontainers.community.registry import DockerRegistryContainer
    except ImportError:  # before 4.15
        from testcontainers.registry import DockerRegistryContainer

    with DockerRegistryContainer(OLDER_REGISTRY, username=USERNAME, password=PASSWORD) as registry:
        yield f"127.0.0.1:{registry.get_exposed_port(5000)}"


@pytest.fixture(scope="session")
def nginx(login: str) -> Iterator[str]:
    """The sample image, tagged and pushed."""
    import docker

    reference = f"{login}/samples/nginx:latest"
    push(NGINX, reference)
    yield reference
    client = docker.from_env()
    client.images.remove(reference)
    client.close()
