"""Full disks, and runs and users beside each other in one temporary directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sharing.conftest import Place, PytestRun, processes, wait_until

SOMEBODY = 65534
"""The id of another user."""

WITHIN = 30.0
"""Seconds after its end in which nothing of a run is left."""

WITHOUT_XDIST = ("-p", "no:xdist")
WITH_XDIST = ("-n", "2")

as_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0,
    reason="only root mounts file systems and becomes other users",
)
each_way = pytest.mark.parametrize(
    "options",
    [
        pytest.param(WITHOUT_XDIST, id="without xdist"),
        pytest.param(WITH_XDIST, id="with xdist"),
    ],
)


each_engine = pytest.mark.parametrize("place_name", ["place", "container_place"])


@pytest.fixture
def its_place(place_name: str, request: pytest.FixtureRequest) -> Place:
    """The place for runs with the engine that the test is parametrized with."""
    found: Place = request.getfixturevalue(place_name)
    return found


BECOME_SOMEBODY = f"""
import os, pathlib, sys
socket = pathlib.Path("/var/run/docker.sock")
groups = f"--groups={{socket.stat().st_gid}}" if socket.exists() else "--clear-groups"
if os.getuid() == 0:
    suite = pathlib.Path.cwd()  # made by root for itself alone
    for path in (suite.parents[1], suite.parent, suite, pathlib.Path(os.environ["SIGNALS"])):
        path.chmod(0o777)
    # They may read Python itself, wherever root has installed it, but write and kill nothing.
    capability = "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"
    somebody = "--reuid={SOMEBODY}", "--regid={SOMEBODY}", groups, *capability
    pytest = sys.executable, "-m", "pytest", *sys.argv[1:]
    os.execvp("setpriv", ["setpriv", *somebody, *pytest])
"""


@pytest.fixture
def small_disk(its_place: Place) -> Iterator[Path]:
    """A file system of 64 KiB, mounted at the directory in which runs keep their state."""
    disk = its_place.directory / "pytest-registry-disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
    yield disk
    for process in processes(its_place.mark):
        process.kill()
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, *, leave: int) -> None:
    """Write a file that leaves so many bytes free."""
    status = os.statvfs(disk)
    (disk / "ballast").write_bytes(b"x" * (status.f_bavail * status.f_frsize - leave))


@as_root
@each_engine
@pytest.mark.parametrize(
    ("leave", "options"),
    [
        pytest.param(0, WITHOUT_XDIST, id="0 bytes free without xdist"),
        pytest.param(8192, WITHOUT_XDIST, id="8192 bytes free without xdist"),
        pytest.param(4096, WITH_XDIST, id="4096 bytes free with xdist"),
    ],
)
def test_a_full_disk_is_told_by_a_state_error_and_nothing_is_left(
    leave: int, options: tuple[str, ...], its_place: Place, small_disk: Path
) -> None:
    fill(small_disk, leave=leave)
    run = its_place.start("in_use", *options, PYTEST_REGISTRY_STATE_DIR=str(small_disk))
    run.say()
    assert run.wait() == pytest.ExitCode.TESTS_FAILED, run.output
    for text in ("StateError: could not", "No space left on device", "--registry-state-dir"):
        assert text in run.output, run.output
    (small_disk / "ballast").unlink()
    left = its_place.wait_until_empty(WITHIN, besides=f"file {small_disk.name}")
    assert not left, "\n".join([*left, run.output])


@each_engine
@each_way
def test_two_runs_of_one_user_do_not_disturb_each_other(
    options: tuple[str, ...], its_place: Place
) -> None:
    let_end_one_after_the_other(its_place, [its_place.start("in_use", *options) for _ in range(2)])


@as_root
@each_engine
@each_way
def test_runs_of_two_users_in_one_temporary_directory_do_not_disturb_each_other(
    options: tuple[str, ...], its_place: Place
) -> None:
    its_place.directory.chmod(0o1777)
    plugins = Path(tempfile.mkdtemp(prefix="become-"))  # not below a directory of root's alone
    plugins.chmod(0o755)
    (plugins / "become_somebody.py").write_text(BECOME_SOMEBODY)
    try:
        theirs = ("-p", "become_somebody", *options)
        variables = {"PYTHONPATH": str(plugins), "HOME": "/"}
        runs = [
            its_place.start("in_use", *theirs, **variables),
            its_place.start("in_use", *options),
        ]
        let_end_one_after_the_other(its_place, runs, owners={0, SOMEBODY})
    finally:
        shutil.rmtree(plugins)


def let_end_one_after_the_other(
    place: Place, runs: list[PytestRun], owners: set[int] | None = None
) -> None:
    """See that each run serves on when another ends, and that nothing is left of any."""
    for run in runs:
        run.wait_for("using-*")
    place.observe()
    assert len(place.hosts) == len(runs)
    assert owners in (None, {path.stat().st_uid for path in place.runs})
    for left, run in reversed(list(enumerate(reversed(runs)))):
        run.say()
        assert run.wait() == 0, run.output
        assert len(place.runs) == left
    assert not (left_over := place.wait_until_empty(WITHIN)), "\n".join(left_over)


def a_link(path: Path) -> None:
    path.with_name("elsewhere").mkdir(0o700)
    path.symlink_to("elsewhere")


def of_somebody_else(path: Path) -> None:
    path.mkdir(0o700)
    os.chown(path, SOMEBODY, SOMEBODY)


def a_file(path: Path) -> None:
    path.touch()


@as_root
@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(a_link, "it is a symbolic link", id="a link"),
        pytest.param(of_somebody_else, f"belongs to the user with id {SOMEBODY}", id="another's"),
        pytest.param(a_file, "File exists", id="a file"),
    ],
)
def test_a_state_directory_that_is_not_the_users_own_is_refused_and_left_alone(
    make: Callable[[Path], None], why: str, place: Place
) -> None:
    make(place.directory / f"pytest-registry-{os.getuid()}")
    before = place.left()
    run = place.start("in_use", "-p", "no:xdist", TESTS="1")
    assert run.wait() == pytest.ExitCode.TESTS_FAILED, run.output
    for text in ("as the registry's state directory", why, "--registry-state-dir"):
        assert text in run.output, run.output
    wait_until(lambda: place.left() == before, "no more is left than before", lambda: run.output)


def test_state_files_are_the_users_alone(place: Place) -> None:
    run = place.start("in_use", *WITH_XDIST)
    run.wait_for("using-*")
    top = next(place.directory.glob("pytest-registry-*"))
    wrong = []
    for path in (top, *top.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # the other worker may still be uploading
            mode = path.lstat().st_mode
            if stat.S_IMODE(mode) != (0o700 if stat.S_ISDIR(mode) else 0o600):
                wrong.append(f"{path}: {stat.S_IMODE(mode):o}")
    run.say()
    assert run.wait() == 0, run.output
    assert not wrong, "\n".join(wrong)
