"""The README's own snippets."""

import subprocess
import urllib.request

import pytest


def test_nginx_runs_from_the_registry(registry, registry_nginx_image, registry_nginx_container):
    assert registry_nginx_image.reference == registry.reference("samples/nginx")
    assert registry.pull(registry_nginx_image, fresh=True).digest == registry_nginx_image.digest
    with urllib.request.urlopen(registry_nginx_container.url) as page:
        assert b"Welcome to nginx!" in page.read()


@pytest.mark.push_image(repository="samples/nginx")
def test_docker_pulls_what_was_pushed(registry, registry_env):
    reference = registry.daemon_reference("samples/nginx")
    subprocess.run(["docker", "pull", reference], env=registry_env, check=True)


def test_docker_takes_a_slot(registry, registry_env, registry_nginx_image):
    with registry.limits.pull("samples/nginx"):
        command = ["docker", "pull", registry.daemon_reference(registry_nginx_image)]
        subprocess.run(command, env=registry_env, check=True)
