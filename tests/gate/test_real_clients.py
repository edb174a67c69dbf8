"""Real clients under faults do what the documentation's table says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import Registry
from tests.gate.under_faults import CLIENTS, EXPECTED, FAULTS, PAGE, outcome, with_table


@pytest.fixture(scope="module")
def embedded(registry_factory: Callable[..., Registry]) -> Registry:
    """A registry that takes faults."""
    return registry_factory(engine="embedded")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("client", ["oras-py", "registry.client", "skopeo"])
def test_a_client_does_about_a_fault_what_the_table_says(
    embedded: Registry, client: str, fault: str, tmp_path: Path
) -> None:
    if client == "skopeo" and shutil.which(client) is None:
        assert os.environ.get("CI") != "true", "CI must not skip skopeo: run tools/clients"
        pytest.skip("skopeo is not installed")
    assert outcome(client, fault, embedded, tmp_path) == expected(client, fault)


@pytest.mark.container_engine
@pytest.mark.parametrize("fault", FAULTS)
def test_docker_does_about_a_fault_what_the_table_says(
    embedded: Registry, fault: str, tmp_path: Path
) -> None:
    assert outcome("docker", fault, embedded, tmp_path) == expected("docker", fault)


def expected(client: str, fault: str) -> str:
    return EXPECTED[client][list(FAULTS).index(fault)]


def test_the_documentation_shows_the_table() -> None:
    assert set(EXPECTED) == set(CLIENTS)
    text = PAGE.read_text()
    assert text == with_table(text), "run `python -m tests.gate.under_faults` to write it anew"
