"""Snippets of "Use several registries"."""

from pytest_registry import synthetic_image


def test_two_registries(registry, registry_factory):
    other = registry_factory(engine="embedded", storage="memory")
    image = registry.push(synthetic_image(), "team/app")
    copy = registry.copy(image, other, "mirror/app")
    assert copy.digest == image.digest
    assert other.repositories() == ["mirror/app"]


def test_a_mirror_falls_back(registry_factory):
    mirror = registry_factory(engine="embedded")
    origin = registry_factory(engine="embedded")
    origin.push(synthetic_image(), "team/app")
    with mirror.faults("manifest", status=503):
        found = [each.host for each in (mirror, origin) if answers(each, "team/app")]
    assert found == [origin.host]


def answers(registry, repository):
    address = f"/v2/{repository}/manifests/latest"
    return registry.http.get(address).status_code == 200


def test_limits_are_each_registrys_own(registry_factory):
    narrow = registry_factory(engine="embedded", pull_limit=1)
    wide = registry_factory(engine="embedded", pull_limit="none")
    assert (narrow.limits.policy.pull, wide.limits.policy.pull) == (1, None)
