"""What the peers share: the images, the account, a push that raises, the docker command."""

import subprocess

REGISTRY = "pytest-registry-ci/registry:3"
# What testcontainers is made for. The same program as in the other, at other paths.
OLDER_REGISTRY = "pytest-registry-ci/registry:2"
NGINX = "pytest-registry-ci/nginx:1"
USERNAME, PASSWORD = "bench", "a-password-of-the-benchmark"


def push(source: str, reference: str) -> None:
    """Tag and push with docker-py."""
    import docker

    client = docker.from_env()
    client.images.get(source).tag(reference)
    account = {"username": USERNAME, "password": PASSWORD}
    for line in client.api.push(reference, auth_config=account, stream=True, decode=True):
        if "errorDetail" in line:
            raise RuntimeError(line["errorDetail"])
    client.close()


def docker(*arguments: str) -> str:
    """What the docker command prints."""
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
