"""A registry on any machine: no container engine, no image, no network.

`registry` is a container where an engine answers and the embedded server elsewhere; these tests do
not see the difference. Each prints what it did: run them with `pytest -v -s`.
"""

from pytest_registry import synthetic_image


def test_the_sample_image_is_pushed_and_pulled_back(registry, registry_nginx_image):
    """It is nginx where that is to be had, else a synthetic image that says so."""
    pulled = registry.pull(registry_nginx_image)
    assert pulled.digest == registry_nginx_image.digest
    kind = "a synthetic image" if registry_nginx_image.synthetic else "nginx"
    print(f"pushed {kind} to {pulled.reference} and pulled it back: {pulled.size} bytes")


def test_an_image_is_made_for_the_test(registry, registry_push):
    """Any number and size of layers, the same to the byte every time."""
    image = registry_push(synthetic_image(layers=3, layer_size=10_000))
    assert len(registry.manifest(image.repository).layers) == 3
    print(f"{image.reference} has three layers and {image.size} bytes")


def test_every_test_has_repositories_of_its_own(registry, registry_push, registry_namespace):
    """So that tests in parallel, in one registry, do not meet."""
    image = registry_push(synthetic_image())
    assert image.repository.startswith(f"{registry_namespace}/")
    assert image.repository in registry.repositories()
    print(f"only this test knows {image.repository}")
