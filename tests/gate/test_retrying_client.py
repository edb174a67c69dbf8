"""The example suite finds the bug of a client's first version, and its corrected version passes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "retrying_client"
BUG = {
    "test_a_busy_registry_is_left_alone_as_long_as_it_asks",
    "test_many_pulls_stay_within_a_hosted_registrys_limits",
}


@pytest.mark.parametrize(("version", "found"), [("hasty", BUG), ("patient", set())])
def test_the_suite_finds_the_bug_and_nothing_else(
    pytester: pytest.Pytester, leaves_nothing_behind: None, version: str, found: set[str]
) -> None:
    for file in EXAMPLE.glob("*.py"):
        shutil.copy(file, pytester.path)
    result = pytester.runpytest_subprocess("--client", version, "-p", "no:cacheprovider")
    failed = set(re.findall(r"^FAILED \S+::(\w+)", result.stdout.str(), re.MULTILINE))
    assert failed == found
    result.assert_outcomes(passed=9 - len(found), failed=len(found))
    for _ in found:
        result.stdout.re_match_lines([r".*answered 429 with Retry-After 1 s, and came back after"])
