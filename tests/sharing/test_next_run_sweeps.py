"""Where everything of a run was killed at once, the next run sweeps what is left, and no more."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_registry.settings import Settings
from pytest_registry.sharing.cleanup import UNBORN_AGE, sweep
from pytest_registry.sharing.run import Run
from tests.conftest import SHELL_LESS_REGISTRY_IMAGE
from tests.sharing.conftest import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from tests.sharing.conftest import Place, PytestRun

LABEL = "pytest-registry.run"


@pytest.fixture
def theirs(engine: docker.DockerClient, ci_nginx_image: str) -> Iterator[str]:
    """A container, a volume, a network and a tag of somebody else's run, all of this name."""
    name = f"theirs-{uuid.uuid4().hex[:8]}"
    labels = {LABEL: name}
    container = engine.containers.create(ci_nginx_image, name=name, labels=labels)
    volume = engine.volumes.create(name, labels=labels)
    network = engine.networks.create(name, labels=labels)
    engine.images.get(ci_nginx_image).tag(f"127.0.0.1:1/{name}")
    yield name
    engine.images.remove(f"127.0.0.1:1/{name}")
    network.remove()
    container.remove(v=True)
    volume.remove()


def assert_there(engine: docker.DockerClient, name: str) -> None:
    assert engine.containers.get(name).labels[LABEL] == name
    assert engine.volumes.get(name).attrs["Labels"] == {LABEL: name}
    assert engine.networks.list(names=[name])
    assert engine.images.get(f"127.0.0.1:1/{name}")


def kill_everything(run: PytestRun) -> Path:
    """Kill all processes of a run, whose directory is returned; it has that of the controller."""
    [directory] = [path for path in run.place.runs if path.name.startswith(f"{run.process.pid}-")]
    keepers = [each for each in run.keepers if str(directory) in each.command]
    guardians = {each.parent for each in keepers}
    assert len(keepers) == 2
    for process in sorted(keepers, key=lambda one: one.pid not in guardians):
        process.kill()
    for process in (*run.workers, run.controller):
        process.kill()
    run.wait()
    return directory


def sweep_beside_a_living_run(place: Place, options: tuple[str, ...], **variables: str) -> None:
    """Kill all of one run, start the next one, and see that a third has not been disturbed."""
    runs = [place.start("in_use", *options, TESTS="2", **variables) for _ in range(2)]
    for run in runs:
        run.wait_for("using-*")
    place.observe()
    left = kill_everything(runs[0])
    assert left.exists()
    following = place.start("in_use", "-p", "no:xdist", TESTS="1", **variables)
    following.wait_for("using-*")
    wait_until(lambda: not left.exists(), "the next run has swept")
    for run in (following, runs[1]):
        run.say()
        assert run.wait() == 0, run.output
    assert not (rest := place.wait_until_empty()), "\n".join(rest)


@pytest.mark.parametrize("place_name", ["place", "container_place"])
def test_a_next_run_that_is_short_has_swept_when_it_ends(
    place_name: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(place_name)
    run = place.start("in_use", "-p", "no:xdist", TESTS="1")
    run.wait_for("using-*")
    place.observe()
    left = kill_everything(run)
    following = place.start("in_use", "-p", "no:xdist", TESTS="1")
    following.say()
    assert following.wait() == 0, following.output
    assert not left.exists()
    assert not (rest := place.wait_until_empty()), "\n".join(rest)


with_and_without_xdist = pytest.mark.parametrize(
    "options", [("-p", "no:xdist"), ("-n", "2")], ids=["without xdist", "with xdist"]
)


@with_and_without_xdist
def test_an_embedded_registrys_files_are_swept(options: tuple[str, ...], place: Place) -> None:
    sweep_beside_a_living_run(place, options)


@with_and_without_xdist
def test_what_a_registry_container_leaves_is_swept_and_nothing_of_others(
    options: tuple[str, ...],
    container_place: Place,
    engine: docker.DockerClient,
    theirs: str,
) -> None:
    sweep_beside_a_living_run(container_place, options)
    assert_there(engine, theirs)


def test_a_container_that_has_no_shell_for_a_lease_is_swept(container_place: Place) -> None:
    variables = {"PYTEST_REGISTRY_IMAGE": SHELL_LESS_REGISTRY_IMAGE}
    sweep_beside_a_living_run(container_place, ("-p", "no:xdist"), **variables)


@pytest.fixture
def sweeping(tmp_path: Path) -> Iterator[Run]:
    """A run that lives, and sweeps beside itself."""
    run = Run.planned(Settings.defaults(state_dir=str(tmp_path)))
    life = run.make_with_life()
    yield run
    life.release()


DEAD = "1234-0123456789ab"
"""The name of a run whose owner is gone."""

HALF_MADE = {
    "without a word": (DEAD, None),
    "with a damaged word": (DEAD, "{"),
    "without its name": (f".{DEAD}-1234", None),
    "without its name, with a word": (f".{DEAD}-1234", "{}"),
}


@pytest.mark.parametrize(("name", "word"), HALF_MADE.values(), ids=HALF_MADE)
def test_a_half_made_runs_directory_is_swept(sweeping: Run, name: str, word: str | None) -> None:
    directory = sweeping.directory.with_name(name)
    directory.mkdir()
    if word is not None:
        (directory / "run.json").write_text(word)
    long_ago = directory.stat().st_mtime - 2 * UNBORN_AGE
    os.utime(directory, (long_ago, long_ago))
    sweep(sweeping)
    assert not directory.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("exp1", "2026-11-27", ".hidden", f"{DEAD}-2", f"{DEAD}.bak", f"x{DEAD}", f".{DEAD}"),
        *(f"{DEAD}\n", "-0123456789ab", "1234-0123456789AB"),
    ],
)
def test_what_is_not_called_like_a_run_is_never_touched(sweeping: Run, name: str) -> None:
    theirs = sweeping.directory.with_name(name)
    theirs.mkdir()
    (theirs / "model.txt").touch()
    os.utime(theirs, (0, 0))
    assert sweep(sweeping) == []
    assert [path.name for path in theirs.iterdir()] == ["model.txt"]


def test_files_and_links_that_are_called_like_a_run_are_never_touched(
    sweeping: Run, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "model.txt").touch()
    link = sweeping.directory.with_name(DEAD)
    link.symlink_to(tmp_path / "theirs")
    file = sweeping.directory.with_name(DEAD.replace("ab", "cd"))
    file.touch()
    assert sweep(sweeping) == []
    assert link.is_symlink()
    assert file.exists()
    assert (tmp_path / "theirs" / "model.txt").exists()


@pytest.mark.parametrize("original", ["there", "gone"])
def test_of_a_copied_state_directory_nothing_is_swept_that_the_original_has(
    sweeping: Run, tmp_path: Path, original: str
) -> None:
    dead = Run.planned(Settings.defaults(state_dir=str(tmp_path / "first")))
    dead.make()
    copy = sweeping.directory.with_name(dead.id)
    shutil.copytree(dead.directory, copy)
    if original == "gone":
        shutil.rmtree(dead.directory)
    sweep(sweeping)
    assert (dead.directory.exists(), copy.exists()) == ((original == "there",) * 2)


def test_a_run_that_cannot_be_looked_at_now_is_not_swept(
    sweeping: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Path) -> Run:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    living = Run.planned(Settings.defaults(state_dir=str(tmp_path)))
    life = living.make_with_life()
    monkeypatch.setattr(Run, "read", read)
    assert sweep(sweeping) == []
    assert living.directory.exists()
    life.release()


def test_what_another_host_made_is_not_swept(sweeping: Run) -> None:
    theirs = dataclasses.replace(
        sweeping, directory=sweeping.directory.with_name(DEAD), machine="elsewhere/boot"
    )
    theirs.directory.mkdir()
    (theirs.directory / "run.json").write_text(json.dumps(theirs.to_json()))
    assert sweep(sweeping) == []
    assert theirs.directory.exists()
