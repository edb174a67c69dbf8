"""Snippets of "Push images"."""

import pytest

from pytest_registry import synthetic_image


def test_from_the_engine_or_upstream(registry, registry_nginx_image):
    again = registry.copy(registry_nginx_image, registry, "mirror/nginx", "1.0")
    assert again.reference == registry.reference("mirror/nginx", "1.0")


@pytest.mark.push_image(repository="samples/other", tag="2.0")
def test_by_a_mark(registry):
    assert registry.exists("samples/other", "2.0")


def test_from_an_oci_layout(registry, registry_push, tmp_path):
    made = registry_push(synthetic_image())
    registry.client.pull(made.repository, made.tag, to=tmp_path / "layout")
    pushed = registry_push(tmp_path / "layout")
    assert pushed.digest == made.digest


def test_made_up(registry, registry_push):
    image = registry_push(synthetic_image(seed=7, layers=3, layer_size=100_000))
    assert len(registry.manifest(image.repository).layers) == 3
