"""A fixture by hand: `docker run`, a wait until the login is answered, docker-py's push.

It knows the traps: the address is 127.0.0.1, the hash is cheap, the push's stream is read, the
container and its volume go in the end.
"""

import base64
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.peers.names import NGINX, PASSWORD, REGISTRY, USERNAME, docker, push


def wait_for_login(host: str) -> None:
    """Return when the registry answers its login."""
    encoded = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"http://{host}/v2/", headers={"Authorization": f"Basic {encoded}"}
    )
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def accounts_file(directory: Path) -> Path:
    """An htpasswd file with the account; its hash is cheap, for every request checks it."""
    import bcrypt

    path = directory / "htpasswd"
    path.write_text(f"{USERNAME}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}")
    return path


def run_registry(accounts: Path) -> str:
    """Start the container; its id."""
    return docker(
        *("run", "--detach", "--publish", "127.0.0.1::5000"),
        *("--volume", f"{accounts}:/htpasswd:ro"),
        *("--env", "REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd"),
        *("--env", "REGISTRY_AUTH_HTPASSWD_REALM=bench", REGISTRY),
    ).strip()


def host_of(container: str) -> str:
    """Where it listens."""
    return docker("port", container, "5000/tcp").split()[0]


@pytest.fixture(scope="session")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry container with an account."""
    container = run_registry(accounts_file(tmp_path_factory.mktemp("accounts")))
    try:
        host = host_of(container)
        wait_for_login(host)
        yield host
    finally:
        docker("rm", "--force", "--volumes", container)


@pytest.fixture(scope="session")
def nginx(login: str) -> Iterator[str]:
    """The sample image, tagged and pushed."""
    reference = f"{login}/samples/nginx:latest"
    push(NGINX, reference)
    yield reference
    docker("rmi", reference)
