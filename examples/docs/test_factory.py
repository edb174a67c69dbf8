"""Snippets of "Start a further registry"."""

from pytest_registry import synthetic_image


def test_two_registries(registry, registry_factory):
    other = registry_factory(engine="embedded", storage="memory")
    image = registry.push(synthetic_image(), "team/app")
    copy = registry.copy(image, other, "mirror/app")
    assert copy.digest == image.digest
    assert other.repositories() == ["mirror/app"]
