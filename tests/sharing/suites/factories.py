"""Suites that start further registries: one for all tests of a worker, and one for each test."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import Registry, synthetic_image
from pytest_registry.errors import OptionError

SIGNALS = Path(os.environ["SIGNALS"])
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
FURTHER = dict(each.split("=") for each in os.environ["FURTHER"].split())

Factory = Callable[..., Registry]


def note(name: str, registry: Registry) -> None:
    with (SIGNALS / f"{name}-{WORKER}").open("a") as file:
        file.write(f"{registry.url}\n")


@pytest.fixture(scope="session")
def of_the_session(registry_factory: Factory) -> Registry:
    return registry_factory(**FURTHER)


@pytest.fixture
def of_the_test(registry_factory: Factory) -> Registry:
    return registry_factory(**FURTHER)


@pytest.mark.parametrize("number", range(2))
def test_pushes_to_each(
    registry: Registry, of_the_session: Registry, of_the_test: Registry, number: int
) -> None:
    for name, each in (("run", registry), ("session", of_the_session), ("test", of_the_test)):
        note(name, each)
        each.push(synthetic_image(), f"{name}-{WORKER}/image{number}")
    assert of_the_test.repositories() == [f"test-{WORKER}/image{number}"]


def test_an_unknown_option_is_refused(registry_factory: Factory) -> None:
    with pytest.raises(OptionError, match="there is no such option"):
        registry_factory(colour="red")
