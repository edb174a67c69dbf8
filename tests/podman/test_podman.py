"""The container engine on Podman's service, which is not quite what Docker's engine is."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STARTS_WITHIN_SECONDS = 30.0

SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""What Podman needs where raising limits is not permitted, without systemd, on hybrid cgroups."""

SUITE = """
import urllib.request

import pytest

from pytest_registry.errors import AuthenticationFailed, EngineUnavailable
from pytest_registry import synthetic_image


def test_nginx_runs_from_the_registry(registry, registry_nginx_image, registry_nginx_container):
    assert "Podman" in registry.endpoint.detail
    assert registry.pull(registry_nginx_image, fresh=True).digest == registry_nginx_image.digest
    with urllib.request.urlopen(registry_nginx_container.url) as page:
        assert b"Welcome to nginx!" in page.read()


def test_tokens_and_tls(registry_factory):
    registry = registry_factory(auth="bearer", tls="on")
    pushed = registry.push("{nginx}", "samples/nginx")
    assert registry.pull(pushed, fresh=True).digest == pushed.digest
    reader = registry.account(pull="*")
    with pytest.raises(AuthenticationFailed):
        reader.push("{nginx}", "samples/nginx")


def test_a_client_certificate_cannot_be_shown(registry_factory):
    registry = registry_factory(tls="mutual")
    pushed = registry.push(synthetic_image(), "a")
    assert registry.pull(pushed).digest == pushed.digest
    with pytest.raises(EngineUnavailable, match="certificate"):
        registry.docker.ping()
"""


@pytest.fixture
def podman() -> Iterator[str]:
    """The address of a Podman service of the test's own, with our images in its own storage."""
    if os.name != "posix" or os.getuid() != 0 or shutil.which("podman") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must not skip Podman: run tools/clients", pytrace=False)
        pytest.skip("this needs podman, as root: run tools/clients")
    # A short path: Podman takes no path of over 50 characters, a socket none of over 107.
    with tempfile.TemporaryDirectory(prefix="p-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        (directory / "containers.conf").write_text(SETTINGS)
        address = f"unix://{directory}/podman.sock"
        with serving(directory, address):
            load_images(directory, address)
            yield address


@contextlib.contextmanager
def serving(directory: Path, address: str) -> Iterator[None]:
    command = [
        "podman", f"--root={directory}/root", f"--runroot={directory}/run", "--storage-driver=vfs",
        "system", "service", "--time=0", address,
    ]  # fmt: skip
    environment = {**os.environ, "CONTAINERS_CONF": str(directory / "containers.conf")}
    with (directory / "log").open("wb") as log:
        service = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while not (directory / "podman.sock").exists():
            assert service.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, "Podman's service does not listen"
            time.sleep(0.05)
        yield
    finally:
        service.terminate()
        service.wait()


def load_images(directory: Path, address: str) -> None:
    """Load what the suite needs; the archives are made as for every engine."""
    import docker

    archives = directory / "images"
    subprocess.run(
        [sys.executable, "tools/engine_images.py", "--save", str(archives)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    client = docker.DockerClient(address)
    for name in ("registry-3", "nginx-1"):
        with (archives / f"{name}.tar").open("rb") as archive:
            client.images.load(archive)
    client.close()


def standing(address: str) -> list[str]:
    """What stands in the engine: containers, images by name, volumes."""
    import docker

    client = docker.DockerClient(address)
    try:
        return sorted(
            [
                *(f"container {each['Names']}" for each in client.api.containers(all=True)),
                *(f"image {tag}" for each in client.api.images() for tag in each["RepoTags"] or ()),
                *(f"volume {each['Name']}" for each in client.api.volumes()["Volumes"] or ()),
            ]
        )
    finally:
        client.close()


@pytest.mark.container_engine
def test_the_container_engine_works_on_podman_and_leaves_nothing_there(
    podman: str,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    ci_registry_image: str,
    ci_nginx_image: str,
) -> None:
    before = standing(podman)
    monkeypatch.setenv("DOCKER_HOST", podman)
    pytester.makepyfile(SUITE.replace("{nginx}", ci_nginx_image))
    result = pytester.runpytest_subprocess(
        "--registry-engine=container",
        f"--registry-image={ci_registry_image}",
        f"--registry-sample-image={ci_nginx_image}",
    )
    result.assert_outcomes(passed=3)
    deadline = time.monotonic() + 30  # Podman removes a container that ended by itself
    while standing(podman) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert standing(podman) == before
