"""The "after" sides of the pages "Coming from ..."; their "before" sides are in docs/before."""

import subprocess

import pytest

from pytest_registry import synthetic_image

NGINX = "nginx"


def test_docker_py_pushes(registry, registry_docker_client, registry_nginx_image):
    again = registry.daemon_reference("samples/again")
    image = registry_docker_client.images.pull(registry.daemon_reference(registry_nginx_image))
    image.tag(again)
    registry_docker_client.images.push(again)
    registry.assert_exists("samples/again")


def test_a_container_runs_in_docker(registry_nginx_container):
    status, output = registry_nginx_container.exec(["nginx", "-v"])
    assert status == 0, output


@pytest.mark.push_image(synthetic_image(1), repository="busybox", tag="1.30.1")
@pytest.mark.push_image(synthetic_image(2), repository="alpine")
def test_images_are_there(registry, registry_http, registry_images):
    for image in registry_images:
        registry.assert_exists(image.repository, image.tag)
        assert registry_http.get(f"/v2/{image.repository}/tags/list").json()["tags"]


@pytest.fixture(scope="session")
def secure_registry(registry_factory):
    pytest.importorskip("trustme", reason="TLS needs pytest-registry[tls]")
    return registry_factory(tls="on")


def test_tls_and_a_login(secure_registry):
    assert secure_registry.url.startswith("https://")
    assert secure_registry.http.get("/v2/").status_code == 200
    assert secure_registry.ca_file.exists()


def test_the_docker_command_pushes(registry, registry_env):
    reference = registry.daemon_reference("samples/mine")
    subprocess.run(["docker", "tag", NGINX, reference], check=True)
    subprocess.run(["docker", "push", reference], env=registry_env, check=True)
