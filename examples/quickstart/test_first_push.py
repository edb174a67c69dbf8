"""The seven steps of a first push, one test each, in the order in which one does them by hand.

They need a Docker or Podman engine. Each prints what it did: run them with `pytest -v -s`.
"""

import subprocess
import urllib.request

import pytest


def test_1_log_in(registry, registry_env):
    """`docker login HOST -u U -p P` has been done, in a config directory of the run's own."""
    listing = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],
        env=registry_env,
        capture_output=True,
        text=True,
        check=True,
    )
    registry.client.ping()
    print(f"logged in to {registry.host} as {registry.credentials.username},")
    print(f"with engine {listing.stdout.strip()} and DOCKER_CONFIG={registry_env['DOCKER_CONFIG']}")


def test_2_to_5_nginx_is_tagged_and_pushed(registry, registry_nginx_image):
    """`docker pull nginx`, `docker tag nginx HOST/samples/nginx`, `docker push`."""
    assert registry_nginx_image.reference == registry.reference("samples/nginx")
    assert registry.tags("samples/nginx") == ["latest"]
    print(f"pushed {registry_nginx_image.reference}")
    print(f"as {registry_nginx_image.digest}, {registry_nginx_image.size} bytes")


def test_6_pull_it_back(registry, registry_nginx_image):
    """`docker pull HOST/samples/nginx`, without the layers' local tag: they really travel."""
    pulled = registry.pull(registry_nginx_image, fresh=True)
    assert pulled.digest == registry_nginx_image.digest
    print(f"pulled {pulled.reference} back: {pulled.digest}")


def test_7_run_it_from_the_registry(registry_nginx_container):
    """`docker run -p 8080:80 HOST/samples/nginx`, on a port that is free."""
    with urllib.request.urlopen(registry_nginx_container.url) as page:
        assert b"Welcome to nginx!" in page.read()
    print(f"nginx answered at {registry_nginx_container.url}")


@pytest.mark.push_image(repository="samples/marked", tag="1.0")
def test_a_mark_pushes_before_the_test(registry):
    """The same by a mark: the image is in the registry when the test begins."""
    assert registry.exists("samples/marked", "1.0")
    print(f"{registry.reference('samples/marked', '1.0')} was there before the test")


def test_docker_py_is_logged_in_too(registry, registry_docker_client, registry_nginx_image):
    """`docker rmi` of what this test tags is done by the run, whatever happens."""
    nginx = registry.daemon_reference(registry_nginx_image)
    again = registry.daemon_reference("samples/again", "2.0")
    registry_docker_client.images.pull(nginx).tag(again)
    registry_docker_client.images.push(again)
    assert registry.image("samples/again", "2.0").digest == registry_nginx_image.digest
    print(f"docker-py pushed {registry.reference('samples/again', '2.0')}")
