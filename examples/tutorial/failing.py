"""A test that fails, to show what is said of it: `pytest failing.py`."""

import pytest

from pytest_registry import synthetic_image


@pytest.mark.registry_fault("PUT manifest", status=503, body="out of order")
def test_a_push_succeeds(registry_push):
    registry_push(synthetic_image(layers=0), "team/app", "1.0")
