"""Step 5: a registry that fails when it is told to."""

import urllib.error
import urllib.request

import pytest

from pytest_registry import synthetic_image


@pytest.fixture(scope="module")
def registry(registry_factory):
    return registry_factory(engine="embedded")


def test_a_download_that_breaks_off_is_resumed(registry, registry_push):
    image = registry_push(synthetic_image(layers=3))
    with registry.faults("GET blob", nth=2, reset="middle") as fault:
        registry.client.pull(image.repository, image.tag)
    assert fault.hits == 1


def test_a_client_without_a_second_try_fails(registry):
    request = urllib.request.Request(f"{registry.url}/v2/")
    request.add_header("Authorization", registry.credentials.basic)
    with registry.faults("base", status=503), pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
    assert registry.requests.statuses == [503]
