"""Step 2: the walk-through of a first push, by the docker command and by fixtures."""

import urllib.request

NGINX = "nginx"


def test_the_walk_through(registry, registry_docker_cli, registry_namespace):
    docker = registry_docker_cli  # logged in, as by: docker login HOST -u USER -p PASSWORD
    docker.run("run", "--rm", NGINX, "nginx", "-v")

    repository = f"{registry_namespace}/nginx"
    reference = registry.daemon_reference(repository)
    docker.run("tag", NGINX, reference)
    docker.push(reference)
    pushed = registry.image(repository)

    docker.run("rmi", reference)
    docker.pull(reference)
    with registry.run(pushed) as container, urllib.request.urlopen(container.url) as page:
        assert b"Welcome to nginx!" in page.read()

    registry.delete(repository)
    registry.assert_missing(repository)


def test_the_same_by_fixtures(registry, registry_nginx_image, registry_nginx_container):
    assert registry_nginx_image.reference == registry.reference("samples/nginx")
    pulled = registry.pull(registry_nginx_image, fresh=True)
    assert pulled.digest == registry_nginx_image.digest
    with urllib.request.urlopen(registry_nginx_container.url) as page:
        assert b"Welcome to nginx!" in page.read()
