"""A registry that can be made to fail, whichever engines are here."""

import pytest


@pytest.fixture(scope="session")
def registry(registry_factory):
    """The embedded one; of a container it is --registry-gateway that makes it fail."""
    return registry_factory(engine="embedded")
