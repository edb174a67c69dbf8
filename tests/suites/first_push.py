"""The seven steps of a first push, on a container engine; run by tests/test_fixtures.py.

Typed as users may type their tests: mypy checks that the public names are enough for it.
"""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import (
    Credentials,
    Image,
    Limits,
    LoggedInClient,
    OciClient,
    Push,
    Registry,
    WebContainer,
    synthetic_image,
)

OWN_TAG = "pytest-registry-mine/nginx:7"
"""A tag of the user's own, which was there before the run."""


def run(command: list[str], env: dict[str, str]) -> str:
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def blobs_sent(registry: Registry, registry_docker_client: LoggedInClient) -> Callable[[str], int]:
    """How many blobs of a repository the registry has sent, by its own log."""

    def count(repository: str) -> int:
        container = registry_docker_client.containers.get(registry.endpoint.container_id)
        mark = uuid.uuid4().hex
        registry.http.get(f"/v2/{repository}/tags/list?mark={mark}")
        deadline = time.monotonic() + 30
        # In the access log, which is in one stream with what is counted, and after it.
        while f"list?mark={mark} HTTP" not in (log := container.logs().decode()):
            assert time.monotonic() < deadline, "the registry's log does not come"
            time.sleep(0.05)
        return sum(f"GET /v2/{repository}/blobs/" in line for line in log.splitlines())

    return count


def test_1_the_registry_is_up_with_random_credentials(registry: Registry) -> None:
    assert (registry.engine, registry.scheme, registry.ca_file) == ("container", "http", None)
    assert registry.url == f"http://{registry.host}"
    assert registry.host.startswith("127.0.0.1:")
    account: Credentials = registry.credentials
    assert len(account.password) >= 32
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{registry.url}/v2/")
    login = urllib.request.Request(f"{registry.url}/v2/", headers={"Authorization": account.basic})
    with urllib.request.urlopen(login) as answer:
        assert answer.status == 200


def test_1_the_config_directory_is_private_and_knows_this_registry_only(
    registry: Registry, registry_docker_config: Path
) -> None:
    assert stat.S_IMODE(registry_docker_config.stat().st_mode) == 0o700
    config = registry_docker_config / "config.json"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert list(json.loads(config.read_text())["auths"]) == [registry.host]


def test_1_commands_are_logged_in_by_their_environment(
    registry: Registry, registry_env: dict[str, str], registry_nginx_image: Image
) -> None:
    assert registry_env["DOCKER_CONFIG"] == str(registry.client_config)
    assert registry_env["REGISTRY_AUTH_FILE"] == str(registry.client_config / "config.json")
    reference = registry_nginx_image.reference
    if shutil.which("docker"):
        run(["docker", "pull", reference], registry_env)
        run(["docker", "tag", reference, f"{registry.host}/by/command:1"], registry_env)
        run(["docker", "push", f"{registry.host}/by/command:1"], registry_env)
        assert registry.image("by/command", "1").digest == registry_nginx_image.digest
    if shutil.which("skopeo"):
        said = run(
            ["skopeo", "inspect", "--tls-verify=false", f"docker://{reference}"], registry_env
        )
        assert json.loads(said)["Digest"] == registry_nginx_image.digest


def test_2_to_5_nginx_is_in_the_registry_with_its_digest_and_size(
    registry: Registry, registry_nginx_image: Image, registry_client: OciClient
) -> None:
    image = registry_nginx_image
    assert (image.repository, image.tag, image.synthetic) == ("samples/nginx", "latest", "")
    assert image.reference == registry.reference("samples/nginx", tag="latest")
    head = registry_client.head("samples/nginx", "latest")
    assert head is not None
    assert image.digest == head.digest
    manifest = registry.manifest("samples/nginx")
    assert image.size == head.size + sum(blob.size for blob in manifest.blobs)
    assert registry.tags("samples/nginx") == ["latest"]


def test_4_tags_for_a_push_are_made_and_removed_but_the_users_stay(
    registry: Registry, registry_docker_client: LoggedInClient, registry_push: Push
) -> None:
    pushed = registry_push(OWN_TAG, tag="1.0")
    assert registry.exists(pushed.repository, "1.0")
    listed = registry_docker_client.api.images()
    names = {name for image in listed for name in image["RepoTags"] or ()}
    assert pushed.reference not in names
    assert OWN_TAG in names


def test_6_a_fresh_pull_moves_layers_that_the_engine_has_in_no_other_image(
    registry: Registry, registry_push: Push, blobs_sent: Callable[[str], int]
) -> None:
    image = registry_push(synthetic_image(layers=2, layer_size=5_000))
    assert registry.pull(image).digest == image.digest
    first = blobs_sent(image.repository)
    assert first == 3
    registry.pull(image)
    assert blobs_sent(image.repository) == first
    registry.pull(image, fresh=True)
    assert blobs_sent(image.repository) == 2 * first


def test_6_a_fresh_pull_moves_layers_that_the_users_image_has_too(
    registry: Registry, registry_nginx_image: Image, blobs_sent: Callable[[str], int]
) -> None:
    before = blobs_sent("samples/nginx")
    registry.pull("samples/nginx", "latest", fresh=True)
    layers = len(registry.manifest("samples/nginx").layers)
    assert blobs_sent("samples/nginx") >= before + layers


def test_3_and_7_nginx_runs_from_the_pushed_image(
    registry: Registry,
    registry_nginx_container: WebContainer,
    registry_docker_client: LoggedInClient,
) -> None:
    with urllib.request.urlopen(registry_nginx_container.url) as page:
        assert b"Welcome to nginx!" in page.read()
    identifier = registry_nginx_container.get_wrapped_container().id
    started_from = registry_docker_client.containers.get(identifier).attrs["Config"]["Image"]
    assert started_from == f"{registry.host}/samples/nginx:latest"


def test_7_what_tests_tag_and_pull_themselves_is_left_to_the_run(
    registry: Registry, registry_docker_client: LoggedInClient, registry_nginx_image: Image
) -> None:
    images = registry_docker_client.images
    images.get(OWN_TAG).tag(f"{registry.host}/by/sdk", "2")
    images.push(f"{registry.host}/by/sdk", tag="2")
    images.pull(registry_nginx_image.pinned)
    assert (
        registry_nginx_image.pinned in images.get(registry_nginx_image.pinned).attrs["RepoDigests"]
    )


@pytest.mark.push_image(repository="marked/nginx", tag="9")
@pytest.mark.registry_limits(pull=1)
def test_a_mark_has_pushed_and_narrowed_before_its_test(
    registry: Registry, registry_limits: Limits, registry_images: list[Image]
) -> None:
    assert [image.reference for image in registry_images] == [
        registry.reference("marked/nginx", "9")
    ]
    assert registry_limits.policy.pull == 1
