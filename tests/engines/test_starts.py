"""Starting a registry on a real engine: what works, and what is said where it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import docker

SUITE = Path(__file__).parents[1] / "suites" / "starts.py"
SHELL = "pytest-registry-ci/registry:3"
LAYOUTS = (SHELL, "pytest-registry-ci/registry:2", "pytest-registry-ci/registry:shell-less")
BAD_REGISTRIES = {
    "silent": ["/bin/sh", "-c", "echo I am busy; exec sleep 600"],
    "brief": ["/bin/sh", "-c", "echo cannot read my configuration >&2; exit 3"],
    "broken": ["/no/such/registry"],
}

pytestmark = pytest.mark.container_engine


@pytest.fixture
def bad_registries(engine: docker.DockerClient) -> Iterator[None]:
    """Images of registries that do not come up."""
    for name, entrypoint in BAD_REGISTRIES.items():
        container = engine.containers.create(SHELL)
        changes = f"ENTRYPOINT {json.dumps(entrypoint)}\nCMD []"
        container.commit(f"pytest-registry-tests/{name}", "1", changes=changes)
        container.remove(v=True)
    yield
    for name in BAD_REGISTRIES:
        engine.images.remove(f"pytest-registry-tests/{name}:1")


def test_registries_start_or_say_why_not_and_leave_nothing(
    pytester: pytest.Pytester,
    leaves_nothing_behind: None,
    bad_registries: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAYOUTS", json.dumps(LAYOUTS))
    pytester.makepyfile(test_starts=SUITE.read_text())
    result = pytester.runpytest_subprocess(
        "--registry-engine=container", f"--registry-image={SHELL}", "-Werror"
    )
    result.assert_outcomes(passed=14)
