"""Snippets of "Break the registry on purpose"."""

import pytest

from pytest_registry import RegistryError, synthetic_image


@pytest.mark.registry_fault("PUT manifest", status=429, retry_after=1, times=1)
def test_a_push_waits_as_long_as_it_is_asked_to(registry, registry_push):
    registry_push(synthetic_image())
    registry.requests.assert_backed_off()


def test_the_second_download_breaks_off(registry, registry_push):
    image = registry_push(synthetic_image(layers=3))
    with registry.faults("GET blob", nth=2, reset="middle") as fault:
        registry.client.pull(image.repository, image.tag)
    assert fault.hits == 1


def test_wrong_bytes_are_never_taken(registry, registry_push):
    image = registry_push(synthetic_image())
    with registry.faults("GET blob", corrupt=True), pytest.raises(RegistryError):
        registry.client.pull(image.repository, image.tag)


def test_a_cloud_says_stop(registry, registry_push):
    image = registry_push(synthetic_image())
    with registry.throttle("azure-basic", read=2):
        for _ in range(2):
            registry.http.get(f"{registry.url}/v2/{image.repository}/tags/list")
        answer = registry.http.get(f"{registry.url}/v2/{image.repository}/tags/list")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 30  # seconds, until the window is over


def test_layers_are_sent_once(registry, registry_namespace):
    image = registry.push(synthetic_image(layers=2), f"{registry_namespace}/app")
    registry.copy(image, registry, f"{registry_namespace}/copy")
    requests = registry.requests
    requests.assert_no_layer_uploaded_twice()
    requests.assert_mounted_from(f"{registry_namespace}/app")
    assert not requests.where("GET blob")
