"""A run has one state directory, whatever its tests do to the process that asks first."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

EMBEDDED = "--registry-engine=embedded"

OURS = f"pytest-registry-{os.getuid() if hasattr(os, 'getuid') else ''}"
"""How our own directory is called in the one that was chosen."""

ASKS = """
import os, pathlib, stat

def test_asks(registry):
    run = pathlib.Path(registry.client_config).parent
    print("in", run)
    assert {stat.S_IMODE(each.stat().st_mode) for each in (run, *run.parents[:2])} == {0o700}
"""

with_modes = pytest.mark.skipif(os.name != "posix", reason="directories have no modes")


@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n2",)], ids=" ".join)
def test_a_relative_one_is_below_the_directory_that_pytest_began_in(
    pytester: pytest.Pytester, leaves_nothing_behind: None, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        def test_elsewhere(request, monkeypatch, tmp_path):
            monkeypatch.chdir(tmp_path)
            registry = request.getfixturevalue("registry")
            print("in", registry.client_config)
            assert not list(tmp_path.iterdir())
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED, "--registry-state-dir=ours", "-rP", *workers)
    result.assert_outcomes(passed=1)
    assert f"in {pytester.path / 'ours' / OURS / 'runs'}/" in result.stdout.str()
    assert not list((pytester.path / "ours").iterdir())
    assert not Path("/ours").exists()


@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n2",)], ids=" ".join)
def test_a_temporary_directory_of_a_tests_own_gets_nothing_of_it(
    pytester: pytest.Pytester, leaves_nothing_behind: None, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        def test_elsewhere(request, monkeypatch, tmp_path):
            monkeypatch.setenv("TMPDIR", str(tmp_path))
            registry = request.getfixturevalue("registry")
            assert registry.repositories() == []
            assert not list(tmp_path.iterdir())

        def test_afterwards(registry, tmp_path_factory):
            before = tmp_path_factory.getbasetemp()
            assert not list(before.glob("*/pytest-registry-*"))
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED, *workers)
    result.assert_outcomes(passed=2)


def modes(directory: Path) -> dict[str, int]:
    """All that is there, and the directory itself, with its mode."""
    paths = (directory, *directory.rglob("*"))
    return {str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) for path in paths}


@with_modes
@pytest.mark.parametrize("by", ["flag", "ini"])
@pytest.mark.parametrize("mode", [0o755, 0o1777], ids=oct)
def test_one_that_is_there_stays_as_it_is_with_all_that_is_in_it(
    pytester: pytest.Pytester, leaves_nothing_behind: None, by: str, mode: int
) -> None:
    pytester.makepyfile(ASKS)
    project = pytester.path
    for name in ("runs/exp1", "limits/mine", "owed"):
        (project / name).mkdir(parents=True)
    (project / "runs" / "exp1" / "model.txt").write_text("x")
    if by == "ini":
        pytester.makeini("[pytest]\nregistry_state_dir = .")
    options = ["--registry-state-dir=."] if by == "flag" else []
    project.chmod(mode)
    before = modes(project)
    result = pytester.runpytest_subprocess(EMBEDDED, "-rP", *options)
    result.assert_outcomes(passed=1)
    assert f"in {project / OURS / 'runs'}/" in result.stdout.str()
    assert modes(project).items() >= before.items()  # pytester's own come to it
    assert not (project / OURS).exists()


@with_modes
def test_one_that_is_missing_is_made_for_the_user_alone(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(ASKS)
    result = pytester.runpytest_subprocess(EMBEDDED, "--registry-state-dir=a/b")
    result.assert_outcomes(passed=1)
    assert modes(pytester.path / "a" / "b") == {".": 0o700}


@with_modes
def test_one_in_which_others_could_replace_ours_is_refused_and_left_alone(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(ASKS)
    chosen = pytester.mkdir("open")
    chosen.chmod(0o777)
    result = pytester.runpytest_subprocess(EMBEDDED, "--registry-state-dir=open")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*could not use {chosen} as the registry's state directory*mode 777*"]
    )
    assert modes(chosen) == {".": 0o777}


def test_one_without_a_name_is_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--registry-state-dir= ")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*--registry-state-dir*the path of a directory*")
