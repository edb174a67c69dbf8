"""What becomes of a small client when the registry has a bad day.

`pytest examples/retrying_client --client hasty` finds the bug of its first version.
"""

import pytest

from pytest_registry import synthetic_image


@pytest.fixture
def image(registry, registry_namespace):
    return registry.push(synthetic_image(layers=2), f"{registry_namespace}/app")


@pytest.fixture
def pull(client, registry, image):
    def pull():
        authorization = registry.credentials.basic
        return client.pull(registry.url, image.repository, image.tag, authorization)

    return pull


def test_an_image_is_pulled_once(registry, image, pull):
    before = len(registry.requests)
    assert len(pull()) == 2
    registry.requests[before:].assert_pulled_once(image.repository)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failing_server_is_asked_again(registry, pull, status):
    with registry.faults("GET blob", status=status, times=2) as fault:
        assert len(pull()) == 2
    assert fault.hits == 2


@pytest.mark.parametrize("broken", [{"truncate": "middle"}, {"reset": "middle"}])
def test_a_download_that_breaks_off_is_started_again(registry, pull, broken):
    with registry.faults("GET blob", nth=1, **broken):
        assert len(pull()) == 2


def test_wrong_bytes_are_noticed(client, registry, pull):
    with registry.faults("GET blob", corrupt=True), pytest.raises(client.PullFailed):
        pull()


def test_a_busy_registry_is_left_alone_as_long_as_it_asks(registry, pull):
    with registry.faults("GET manifest", status=429, retry_after=1, times=1):
        pull()
    registry.requests.assert_backed_off()


def test_many_pulls_stay_within_a_hosted_registrys_limits(registry, pull):
    with registry.throttle("azure-basic", read=60):
        while not registry.requests.throttled:  # the bucket holds 60, and one more each second
            pull()
    registry.requests.assert_backed_off()
