"""Which version of the client is tested: `--client hasty` or `--client patient` (the default)."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


def pytest_addoption(parser):
    """Add the option that chooses the version."""
    parser.addoption("--client", default="patient", choices=["hasty", "patient"])


@pytest.fixture(scope="session")
def client(request):
    """The client."""
    path = Path(__file__).with_name(f"{request.config.getoption('--client')}.py")
    return SimpleNamespace(**runpy.run_path(str(path)))


@pytest.fixture(scope="session")
def registry(registry_factory):
    """A registry that can be made to fail, whichever engines are here."""
    return registry_factory(engine="embedded")
