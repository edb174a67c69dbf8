"""Step 1: a registry answers, and takes a push. It needs nothing but the plugin."""

from pytest_registry import synthetic_image


def test_a_registry_answers(registry):
    registry.client.ping()
    assert registry.url == f"{registry.scheme}://{registry.host}"


def test_an_image_is_pushed_and_pulled_back(registry, registry_push):
    image = registry_push(synthetic_image(layers=2))
    assert registry.pull(image).digest == image.digest
