"""pytest-docker-registry-fixtures as its documentation shows it, in the environment of tools/peers.

Its registry without a login or TLS: `docker_registry_secure` makes two RSA keys of 4096 bits first,
which takes seconds, and fails with today's pyOpenSSL. The image is pushed by its option
`--push-image`; that swallows errors, so the registry is asked for the image. It leaves the tag that
it pushed in the engine: we remove it.
"""

import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.peers.names import NGINX, docker


@pytest.fixture(scope="session")
def nginx(docker_registry_insecure: Any) -> Iterator[str]:
    """The sample image, pushed."""
    repository, _, tag = NGINX.partition(":")
    endpoint: str = docker_registry_insecure.endpoint
    with urllib.request.urlopen(f"http://{endpoint}/v2/{repository}/manifests/{tag}", timeout=5):
        yield f"{endpoint}/{NGINX}"
    docker("rmi", f"{endpoint}/{NGINX}")
