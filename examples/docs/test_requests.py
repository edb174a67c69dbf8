"""Snippets of "Read the request log and the report"."""

import pytest

from pytest_registry import synthetic_image


@pytest.fixture(scope="module")
def registry(registry_factory):
    """The embedded one; before a container --registry-gateway has a log too."""
    return registry_factory(engine="embedded")


def test_what_a_pull_costs(registry, registry_namespace):
    image = registry.push(synthetic_image(layers=2), f"{registry_namespace}/app")
    before = len(registry.requests)
    registry.client.pull(image.repository, image.tag)
    pulled = registry.requests[before:]

    assert pulled.where("GET blob", status=200).bytes_out > 2000
    assert len(pulled.where("GET manifest")) == 1
    pulled.assert_pulled_once(image.repository, "latest")


def test_one_request(registry):
    registry.http.get("/v2/_catalog", headers={"User-Agent": "my-tool/1"})
    last = registry.requests.where("catalog")[-1]
    assert (last.method, last.status, last.user_agent) == ("GET", 200, "my-tool/1")
    assert last.worker


def test_a_push_again_sends_nothing(registry, registry_namespace):
    app = synthetic_image(layers=2)
    registry.push(app, f"{registry_namespace}/app")
    registry.push(app, f"{registry_namespace}/app", "again")
    registry.requests.assert_head_before_put()
    registry.requests.assert_no_layer_uploaded_twice()


def test_no_request_fails(registry, registry_namespace):
    registry.push(synthetic_image(), f"{registry_namespace}/app")
    failed = registry.requests.where(matching=lambda request: request.status >= 500)
    assert not failed, failed
