"""Step 3: tests in parallel, in one registry, that never meet."""

import pytest

from pytest_registry import synthetic_image


@pytest.mark.parametrize("seed", range(4))
def test_every_test_has_its_own_repositories(registry, registry_push, seed):
    image = registry_push(synthetic_image(seed=seed))
    assert registry.pull(image).digest == image.digest
