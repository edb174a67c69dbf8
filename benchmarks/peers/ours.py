"""The plugin's own fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_registry import Image, Registry


@pytest.fixture(scope="session")
def login(registry: Registry) -> str:
    """The run's registry, which has answered a login when it is handed out."""
    return registry.host


@pytest.fixture(scope="session")
def nginx(registry_nginx_image: Image) -> str:
    """The sample image, pushed once per run."""
    return registry_nginx_image.reference
