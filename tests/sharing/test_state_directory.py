"""A run has one state directory, whatever its tests do to the process that asks first."""

from __future__ import annotations

from pathlib import Path

import pytest

EMBEDDED = "--registry-engine=embedded"


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
    assert f"in {pytester.path / 'ours' / 'runs'}/" in result.stdout.str()
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


def test_one_without_a_name_is_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--registry-state-dir= ")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*--registry-state-dir*the path of a directory*")
