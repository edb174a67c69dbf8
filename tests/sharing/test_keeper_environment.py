"""The keeper's environment: it begins elsewhere than its run, and outlives it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_registry.sharing.keeper_process import keeper_environment

LOOKS_AT_ITS_KEEPERS = """
    import contextlib
    from pathlib import Path

    def commands():
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                yield process, (process / "cmdline").read_text(errors="replace")

    def variables(process):
        lines = (process / "environ").read_text().split("\\0")
        return dict(line.partition("=")[::2] for line in lines)

    def test_elsewhere(request, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        run = request.getfixturevalue("registry").client_config.parent
        keepers = [each for each, command in commands() if str(run) in command]
        assert len(keepers) == 2
        for keeper in map(variables, keepers):
            assert not [each for each in keeper if each.startswith("COV")]
            entries = keeper["PYTHONPATH"].split(":")
            assert str(request.config.rootpath / "vend" / "ed") in entries
            assert [each for each in entries if not Path(each).is_absolute()] == []
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it looks into /proc")
@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n2",)], ids=" ".join)
def test_a_keeper_is_not_measured_and_finds_modules_from_elsewhere(
    pytester: pytest.Pytester,
    leaves_nothing_behind: None,
    monkeypatch: pytest.MonkeyPatch,
    workers: tuple[str, ...],
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"vend/ed{os.pathsep}", prepend=os.pathsep)
    monkeypatch.setenv("COV_CORE_DATAFILE", str(pytester.path / ".coverage"))
    pytester.makepyfile(LOOKS_AT_ITS_KEEPERS)
    result = pytester.runpytest_subprocess("--registry-engine=embedded", *workers)
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"COVERAGE_PROCESS_START": "a", "COVERAGE_PROCESS_CONFIG": "b"}, {}),
        ({"COV_CORE_SOURCE": "a", "COV_CORE_CONFIG": "b", "COV_CORE_DATAFILE": "c"}, {}),
        ({"COVERAGE_FILE": "a", "COVERAGE_RCFILE": "b"}, None),
        ({"HOME": "relative", "PYTHONPATH": "/a:/b"}, None),
        ({"PYTHONPATH": "/a::/b:"}, {"PYTHONPATH": "/a:/b"}),
        ({"PYTHONPATH": "."}, {"PYTHONPATH": str(Path.cwd())}),
    ],
    ids=str,
)
def test_only_what_is_measured_and_what_is_relative_differs(
    before: dict[str, str], after: dict[str, str] | None
) -> None:
    assert keeper_environment(before) == (before if after is None else after)
