"""Assertions pass where they hold, and tell what there is where they do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_registry import Registry, synthetic_image

Claim = Callable[[Registry], None]


@pytest.fixture(scope="module")
def holding(registry_factory: Callable[..., Registry]) -> Registry:
    """A registry that holds `samples/app:1` and `:2`, another image, and a signature of `:1`."""
    registry = registry_factory(engine="embedded", storage="memory")
    first = synthetic_image(1)
    registry.client.push(first, "samples/app", "1")
    registry.client.push(first, "samples/app", "2")
    registry.client.push(synthetic_image(2), "samples/other", "1")
    signature = synthetic_image(3, artifact_type="application/x-signature", subject=first)
    registry.client.push(signature, "samples/app", None)
    return registry


@pytest.mark.parametrize(
    "claim",
    [
        lambda registry: registry.assert_exists("samples/app", "1"),
        lambda registry: registry.assert_exists("samples/app", synthetic_image(1).digest),
        lambda registry: registry.assert_missing("samples/app", "3"),
        lambda registry: registry.assert_missing("nothing"),
        lambda registry: registry.assert_tags("samples/app", "2", "1"),
        lambda registry: registry.assert_tags("nothing"),
        lambda registry: registry.assert_same("samples/app:1", "samples/app:2"),
        lambda registry: registry.assert_same(
            registry.image("samples/app", "1"), f"samples/app@{synthetic_image(1).digest}"
        ),
        lambda registry: registry.assert_referred("samples/app", "1"),
        lambda registry: registry.assert_referred("samples/app", "1", "application/x-signature"),
    ],
)
def test_what_holds_passes(holding: Registry, claim: Claim) -> None:
    claim(holding)


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (
            lambda registry: registry.assert_exists("samples/app", "3"),
            "does not hold samples/app:3; the tags of samples/app are 1, 2",
        ),
        (
            lambda registry: registry.assert_exists("sample/app"),
            "sample/app has no tags, the repositories are samples/app, samples/other;"
            " did you mean samples/app?",
        ),
        (
            lambda registry: registry.assert_missing("samples/app", "1"),
            f"holds samples/app:1, which is {synthetic_image(1).digest}",
        ),
        (
            lambda registry: registry.assert_tags("samples/app", "1", "3"),
            "the tags of samples/app are 1, 2, not 1, 3: missing 3, unexpected 2",
        ),
        (
            lambda registry: registry.assert_same("samples/app:1", "samples/other:1"),
            f"samples/other:1 is {synthetic_image(2).digest}\nconfig and layers of the first only:",
        ),
        (
            lambda registry: registry.assert_referred("samples/other", "1"),
            "nothing refers to samples/other:1",
        ),
        (
            lambda registry: registry.assert_referred("samples/app", "1", "application/x-sbom"),
            "the types of what does: application/x-signature",
        ),
    ],
)
def test_what_does_not_hold_is_told_with_what_does(
    holding: Registry, claim: Claim, told: str
) -> None:
    with pytest.raises(AssertionError) as failed:
        claim(holding)
    assert told in str(failed.value)
