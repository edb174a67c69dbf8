"""Registries beside the run's own, and workers that cannot have the run's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sharing.conftest import Place, PytestRun


def urls(run: PytestRun, name: str) -> list[str]:
    return [url for path in run.said(f"{name}-*") for url in path.read_text().split()[::2]]


@pytest.mark.parametrize(
    ("place_name", "further"),
    [
        ("place", "storage=memory auth=bearer"),
        ("container_place", "image=pytest-registry-ci/registry:2"),
        ("container_place", "engine=embedded"),
    ],
)
def test_they_live_as_long_as_the_fixture_or_the_test_that_asked(
    place_name: str, further: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(place_name)
    run = place.start("factories", "-n2", "--dist=each", FURTHER=further)
    assert run.wait(120) == 0, run.output  # up to eleven containers, one after the other
    assert (len(urls(run, "run")), len(set(urls(run, "run")))) == (4, 1)
    assert (len(urls(run, "session")), len(set(urls(run, "session")))) == (4, 2)
    assert (len(urls(run, "test")), len(set(urls(run, "test")))) == (4, 4)
    for name in ("own", "stays"):
        assert (len(urls(run, name)), len(set(urls(run, name)))) == (2, 2)
    place.hosts |= {
        url.partition("://")[2]
        for name in ("run", "session", "test", "own", "stays")
        for url in urls(run, name)
    }
    assert not place.wait_until_empty(10)


def test_a_worker_on_another_machine_is_told_so_and_what_to_do(place: Place) -> None:
    run = place.start("remote", "-n2", "--dist=each")
    assert run.wait() == pytest.ExitCode.TESTS_FAILED
    assert "4 passed, 4 errors" in run.output
    for words in (
        "could not share the run's registry with this xdist worker",
        "the worker runs on elsewhere, the run was started on",
        "start one pytest per host, or give all of them one registry that already runs",
    ):
        assert words in run.output
    assert "RegistryEnded" not in run.output
    assert "the registry ended" not in run.output
    assert not place.wait_until_empty(10)
