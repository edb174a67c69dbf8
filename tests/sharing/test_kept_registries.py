"""`--registry-keep`, `--registry-reuse` and `python -m pytest_registry remove`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import image_tags

if TYPE_CHECKING:
    from tests.sharing.conftest import Place, PytestRun


def told(run: PytestRun) -> dict[str, Any]:
    """What the test of the run has told, once the run has passed."""
    assert run.wait() == 0, run.output
    value: dict[str, Any] = json.loads((run.signals / "told").read_text())
    return value


def keep(place: Place, *options: str) -> tuple[str, dict[str, Any]]:
    """Run with --registry-keep: the run's name, and what its test told."""
    run = place.start("keeps", "--registry-keep", *options)
    value = told(run)
    place.observe()
    name = re.search(r"remove it with python -m pytest_registry remove (\S+)", run.output)
    assert name, run.output
    assert f"the registry was kept: {value['url']}" in run.output
    assert value["password"] not in run.output
    return name[1], value


def remove(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_registry", "remove", *arguments],
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_empty(place: Place) -> None:
    assert place.wait_until_empty() == []


@pytest.mark.parametrize("place_name", ["place", "container_place"])
def test_a_kept_registry_is_used_again_and_removed(
    place_name: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(place_name)
    name, first = keep(place)
    again = place.start("keeps", "--registry-reuse", "-n2", "--dist=each")
    second = told(again)
    assert (second["url"], second["found"]) == (first["url"], ["left/here"])
    assert f"(kept by the run {name})" in again.output
    listed = remove(place)
    assert name in listed.stdout
    assert first["url"] in listed.stdout
    assert first["password"] not in listed.stdout
    gone = remove(place, name)
    assert (gone.returncode, gone.stderr) == (0, f"removed {name}\n")
    assert remove(place).stdout == "no registry was kept\n"
    assert_empty(place)


def of_another_version(place: Place) -> None:
    [kept] = place.directory.glob("pytest-registry-*/runs/*/kept")
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "version": "0.0.1"}))


def damaged(place: Place) -> None:
    [kept] = place.directory.glob("pytest-registry-*/runs/*/kept")
    kept.write_text("{")


def with_dead_keepers(place: Place) -> None:
    first = place.started[0]
    for process in first.keepers:
        process.kill()


@pytest.mark.parametrize(
    ("options", "change", "why"),
    [
        (("--registry-storage=memory",), None, r"differs in storage \('disk', not 'memory'\)"),
        (("--registry-auth=bearer",), None, r"differs in auth \('basic', not 'bearer'\)"),
        ((), of_another_version, "differs in the plugin's version"),
        ((), damaged, "differs in the plugin's version"),
        ((), with_dead_keepers, "none was kept"),
    ],
    ids=[
        "of another storage",
        "of another auth",
        "of another version",
        "damaged",
        "with dead keepers",
    ],
)
def test_a_kept_registry_is_not_used_again_and_the_reason_is_said(
    options: tuple[str, ...], change: Any, why: str, place: Place
) -> None:
    _, first = keep(place)
    if change is not None:
        change(place)
    again = place.start("keeps", "--registry-reuse", *options)
    second = told(again)
    assert second["url"] != first["url"]
    assert second["found"] == []
    assert re.search(f"no kept registry was used again: .*{why}", again.output), again.output
    assert remove(place, "--all").returncode == 0
    assert_empty(place)


@pytest.mark.parametrize("place_name", ["place", "container_place"])
def test_a_kept_registry_ends_when_its_directory_is_deleted_by_hand(
    place_name: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(place_name)
    keep(place)
    assert place.started[0].keepers
    [state] = place.directory.glob("pytest-registry-*")
    shutil.rmtree(state)
    assert place.wait_until_empty(30) == []


def test_where_none_was_kept_reuse_starts_one_and_says_so(place: Place) -> None:
    run = place.start("keeps", "--registry-reuse")
    told(run)
    assert "no kept registry was used again: none was kept" in run.output
    assert_empty(place)


def test_a_kept_registry_survives_the_removal_of_an_unknown_one(place: Place) -> None:
    name, first = keep(place)
    unknown = remove(place, "no-such-run")
    assert unknown.returncode == 1
    assert unknown.stderr == "no registry was kept by a run no-such-run\n"
    assert first["url"] in remove(place).stdout
    both = remove(place, "no-such-run", name)
    assert both.returncode == 1
    assert f"removed {name}" in both.stderr
    assert_empty(place)


def test_the_newest_of_several_is_used_again(place: Place) -> None:
    keep(place)
    _, newest = keep(place)
    again = told(place.start("keeps", "--registry-reuse"))
    assert again["url"] == newest["url"]
    assert remove(place, "--all").returncode == 0
    assert_empty(place)


def test_runs_that_share_one_leave_each_others_tags_alone(container_place: Place) -> None:
    keep(container_place)
    runs = [container_place.start("in_use", "--registry-reuse", TESTS="1") for _ in range(2)]
    for run in runs:
        run.wait_for("using-*")
    before = tags(container_place)
    assert len(before) == len(runs)
    runs[0].say()
    assert runs[0].wait() == 0, runs[0].output
    assert tags(container_place) == before
    runs[1].say()
    assert runs[1].wait() == 0, runs[1].output
    assert remove(container_place, "--all").returncode == 0
    assert_empty(container_place)


def tags(place: Place) -> set[str]:
    """What the engine holds under the names of the registries that were seen."""
    assert place.engine is not None
    return {name for name in image_tags(place.engine) if name.partition("/")[0] in place.hosts}


@pytest.mark.parametrize("option", ["--registry-keep", "--registry-reuse"])
def test_further_registries_are_neither_kept_nor_used_again(option: str, place: Place) -> None:
    keep(place)
    run = place.start("factories", option, FURTHER="storage=disk")
    assert run.wait() == 0, run.output
    kept = 2 if option == "--registry-keep" else 1
    assert len(place.runs) == kept
    assert remove(place, "--all").returncode == 0
    assert_empty(place)
