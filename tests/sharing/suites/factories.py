"""Tests with further registries: one for all of a worker's, and one that each test begins with."""

import os
from collections.abc import Callable, Iterator
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
        file.write(f"{registry.url} {registry.client_config.parent}\n")


def directories(name: str) -> list[Path]:
    lines = (SIGNALS / f"{name}-{WORKER}").read_text().splitlines()
    return [Path(line.split()[1]) for line in lines]


@pytest.fixture(scope="session")
def of_the_session(request: pytest.FixtureRequest) -> Registry:
    factory: Factory = request.getfixturevalue("registry_factory")
    return factory(**FURTHER)


@pytest.fixture
def of_the_test(registry_factory: Factory) -> Iterator[Registry]:
    registry = registry_factory(**FURTHER)
    yield registry
    assert registry.repositories()  # it serves still when its fixture is torn down


@pytest.mark.parametrize("number", range(2))
def test_pushes_to_each(
    registry: Registry, of_the_session: Registry, of_the_test: Registry, number: int
) -> None:
    for name, each in (("run", registry), ("session", of_the_session), ("test", of_the_test)):
        note(name, each)
        each.push(synthetic_image(), f"{name}-{WORKER}/image{number}")
    assert of_the_test.repositories() == [f"test-{WORKER}/image{number}"]


def test_asks_itself(registry_factory: Factory) -> None:
    registry = registry_factory(**FURTHER)
    note("own", registry)
    assert registry.repositories() == []
    note("stays", registry_factory(scope="session", engine="embedded"))


def test_those_of_earlier_tests_have_ended(of_the_session: Registry) -> None:
    earlier = [*directories("test"), *directories("own")]
    assert [path.exists() for path in earlier] == [False] * 3
    assert len(of_the_session.repositories()) == 2
    assert [path.exists() for path in directories("stays")] == [True]


def test_an_unknown_option_is_refused(registry_factory: Factory) -> None:
    with pytest.raises(OptionError, match="there is no such option"):
        registry_factory(colour="red")
    with pytest.raises(OptionError, match="'module' was given as its scope"):
        registry_factory(scope="module")


@pytest.mark.parametrize("name", ["keep", "reuse"])
def test_one_that_stays_or_is_taken_again_is_refused(registry_factory: Factory, name: str) -> None:
    with pytest.raises(OptionError, match=rf"{name}=True was given.*\n.*--registry-{name}"):
        registry_factory(**{name: True})
    with pytest.raises(OptionError, match=f"{name}='yes' was given"):
        registry_factory(**{name: "yes"})
