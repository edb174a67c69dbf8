"""Run by test_registrys_eye.py: pushes and pulls as many at once as the limits let through."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_registry import OciClient, synthetic_image

AT_ONCE = 4
"""Threads of a worker: eight workers together want more than either limit."""


@pytest.mark.parametrize("number", range(12))
def test_images_travel(registry_client: OciClient, number: int) -> None:
    names = [f"image-{number}-{part}" for part in range(AT_ONCE * 2)]
    image = synthetic_image(layers=1, layer_size=1000)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda name: registry_client.push(image, name, "latest"), names))
        list(threads.map(lambda name: registry_client.pull(name, "latest"), names))
