"""Snippets of "Test with a registry that runs already": here it is one of our own."""

import pytest

from pytest_registry import synthetic_image


@pytest.fixture(scope="module")
def hosted(registry_factory):
    """A registry that many use and that asks nobody for a login."""
    return registry_factory(engine="embedded", auth="none")


@pytest.fixture(scope="module")
def external(registry_factory, hosted):
    return registry_factory(engine="external", url=f"{hosted.url}/ci")


def test_everything_lies_below_a_prefix(hosted, external):
    image = external.push(synthetic_image(), "team/app")
    assert image.repository == "team/app"
    assert image.reference == external.reference("team/app")
    assert image.reference.startswith(f"{hosted.host}/ci/pytest-")
    assert "team/app" in external.repositories()


@pytest.mark.registry_needs("delete")
def test_an_image_is_deleted(registry, registry_push):
    image = registry_push(synthetic_image())
    registry.delete(image.repository)
    registry.assert_missing(image.repository)


def test_referrers_where_there_are_any(external):
    if external.supports("referrers"):
        assert external.why_not("referrers") == ""
