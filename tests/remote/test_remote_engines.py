"""The endpoint's two addresses where the engine is on another machine, or around us."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.clients import engine_reach
from pytest_registry.clients.engine_reach import daemon_host_name, own_container

if TYPE_CHECKING:
    from tests.remote.conftest import RemoteEngine

IMAGES = (
    "--registry-image=pytest-registry-ci/registry:3",
    "--registry-sample-image=pytest-registry-ci/nginx:1",
    "--registry-engine=container",
)
SUITE = """
import subprocess, urllib.request

def test_two_addresses(registry, registry_nginx_image, registry_nginx_container, registry_env):
    host, daemon = registry.endpoint.host, registry.endpoint.daemon_host
    print("addresses", host, daemon)
    assert daemon.startswith("127.0.0.1:")
    assert registry.reference("a/b").startswith(host + "/")
    assert registry.daemon_reference("a/b").startswith(daemon + "/")
    assert registry.client.exists("samples/nginx", "latest")
    assert registry.pull(registry_nginx_image, fresh=True).digest == registry_nginx_image.digest
    with urllib.request.urlopen(registry_nginx_container.url) as page:
        assert b"Welcome to nginx!" in page.read()

def test_docker_py(registry, registry_docker_client, registry_nginx_image):
    image = registry_docker_client.images.pull(registry.daemon_reference("samples/nginx"))
    image.tag(registry.daemon_reference("again/nginx").rpartition(":")[0], "2")
    registry_docker_client.images.push(registry.daemon_reference("again/nginx", "2"))
    assert registry.tags("again/nginx") == ["2"]
"""
COMMAND = """
def test_the_docker_command(registry, registry_env, registry_docker_cli, registry_nginx_image):
    import subprocess
    reference = registry.daemon_reference("samples/nginx")
    subprocess.run(["docker", "pull", reference], env=registry_env, check=True)
    registry_docker_cli.pull(registry_nginx_image)
    registry_docker_cli.push(registry_nginx_image)
"""


@pytest.mark.container_engine
@pytest.mark.parametrize("tls", [False, True], ids=["docker-in-docker", "tls"])
def test_a_suite_runs_on_an_engine_of_another_machine(
    remote: RemoteEngine,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    tls: bool,
) -> None:
    before = remote.state()
    for name, value in remote.environment(tls=tls).items():
        monkeypatch.setenv(name, value)
    pytester.makepyfile(SUITE + COMMAND)
    result = pytester.runpytest_subprocess(*IMAGES, "-rP", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)
    result.stdout.re_match_lines([rf"addresses {remote.address}:(\d+) 127.0.0.1:\1"])
    result.stdout.fnmatch_lines([f"*published on every address of {remote.address}*"])
    assert remote.state() == before


@pytest.mark.container_engine
def test_without_a_registry_image_there_the_embedded_one_keeps_off_that_engine(
    remote: RemoteEngine, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in remote.environment(tls=False).items():
        monkeypatch.setenv(name, value)
    pytester.makepyfile(
        "import pytest\n"
        "from pytest_registry import RegistryError, synthetic_image\n"
        "def test_it(registry):\n"
        "    assert registry.pull(registry.push(synthetic_image(), 'a/b')).digest\n"
        "    with pytest.raises(RegistryError, match='another machine'): registry.docker\n"
    )
    result = pytester.runpytest_subprocess("--registry-engine=embedded")
    result.assert_outcomes(passed=1)


@pytest.mark.container_engine
def test_tokens_of_this_process_are_for_clients_here_and_the_engine_there_is_told_so(
    remote: RemoteEngine, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in remote.environment(tls=False).items():
        monkeypatch.setenv(name, value)
    before = remote.state()
    pytester.makepyfile(
        "import pytest\n"
        "from pytest_registry import RegistryError, synthetic_image\n"
        "def test_it(registry):\n"
        "    image = registry.push(synthetic_image(), 'a/b')\n"
        "    assert registry.pull(image).digest == image.digest\n"
        "    with pytest.raises(RegistryError, match='without .*--registry-auth=bearer'):\n"
        "        registry.docker\n"
    )
    result = pytester.runpytest_subprocess(*IMAGES, "--registry-auth=bearer")
    result.assert_outcomes(passed=1)
    assert remote.state() == before


@pytest.mark.container_engine
@pytest.mark.parametrize("own_network", [False, True], ids=["bridge", "network-of-its-own"])
def test_a_suite_runs_in_a_container_with_the_engines_socket_mounted(
    remote: RemoteEngine, tmp_path: Path, own_network: bool
) -> None:
    network = "inside" if own_network else "bridge"
    if own_network:
        remote.docker("network", "create", network)
    before = remote.state()
    try:
        said = in_a_container(remote, tmp_path, network)
    finally:
        if own_network:
            remote.docker("network", "rm", network)
    assert "2 passed" in said
    assert f"met in the engine's network {network}" in said
    assert ":5000 127.0.0.1:" in said
    assert remote.state() == before


@pytest.mark.container_engine
def test_inside_a_container_no_certificate_can_name_the_registry_beside_it(
    remote: RemoteEngine, tmp_path: Path
) -> None:
    before = remote.state()
    with pytest.raises(AssertionError, match="could not speak TLS with a registry in a container"):
        in_a_container(remote, tmp_path, "bridge", "--registry-tls=on")
    assert "2 passed" in in_a_container(remote, tmp_path, "host", "--registry-tls=on")
    assert remote.state() == before


def in_a_container(remote: RemoteEngine, place: Path, network: str, *options: str) -> str:
    """Run the suite in a container of the engine's; what it said. Asserts that it passes."""
    suite = place / "test_inside.py"
    suite.write_text(SUITE)
    return remote.docker(
        *("run", "--rm", "--network", network, "--volume"),
        f"{remote.socket}:/var/run/docker.sock",
        *(word for path in this_python() for word in ("--volume", f"{path}:{path}:ro")),
        *("--volume", f"{place}:{place}", "--workdir", str(place)),
        *("--env", f"HOME={place}", "--entrypoint", sys.executable),
        *("pytest-registry-ci/nginx:1", "-m", "pytest", "-rP", "-p", "no:cacheprovider"),
        *(*IMAGES, *options, str(suite)),
    )


def this_python() -> list[Path]:
    """The directories that this interpreter and the checkout need."""
    needed = [
        Path(sys.prefix),
        Path(sys.base_prefix).resolve(),
        Path(sysconfig.get_paths()["stdlib"]).resolve(),
        Path(__file__).parents[2],
        Path("/usr/lib"),
        Path("/usr/local"),
    ]
    known: list[Path] = []
    for path in sorted(set(needed)):
        if path.exists() and not any(path.is_relative_to(one) for one in known):
            known.append(path)
    return known


# What is found out without any engine -----------------------------------------------------------


@pytest.mark.parametrize(
    ("docker_host", "name"),
    [
        ("tcp://docker:2375", "docker"),
        ("tcp://10.0.0.7:2376", "10.0.0.7"),
        ("tcp://127.0.0.1:2375", ""),
        ("tcp://localhost:2375", ""),
        ("tcp://[::1]:2375", ""),
        ("unix:///var/run/docker.sock", ""),
        ("ssh://me@build.example.test:22", "build.example.test"),
    ],
)
def test_the_engines_machine_is_told_from_docker_host(
    monkeypatch: pytest.MonkeyPatch, docker_host: str, name: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_host)
    assert daemon_host_name() == name


@pytest.mark.parametrize(
    ("host", "met"),
    [("10.0.0.7", "10.0.0.7:32768"), ("docker", "docker:32768"), ("fd00::7", "[fd00::7]:32768")],
)
def test_a_published_port_is_met_at_the_engines_machine(host: str, met: str) -> None:
    ports = {"5000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}]}
    inspected = {"NetworkSettings": {"Ports": ports}}
    assert engine_reach.published(inspected, 5000, host) == met
    assert engine_reach.published(inspected, 80, host) == ""


ID = "5f" * 32


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"7 6 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/x rw", ID),
        (f"7 6 0:9 /x/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw", ID),
        (f"7 6 0:9 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw", ""),
        ("7 6 8:1 / / rw - ext4 /dev/x rw", ""),
    ],
)
def test_our_own_container_is_known_by_its_mounts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, found: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / /proc rw - proc proc rw\n{line}\n")
    monkeypatch.setattr(engine_reach, "MOUNTS", mounts)
    assert own_container() == found
