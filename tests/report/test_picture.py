"""The data of a run's picture, and how it and the page are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_registry.errors import StateError
from pytest_registry.report.html import page, write_report
from pytest_registry.report.picture import command_line, picture
from tests.report.browsing import FACTS, FEW, HOSTILE, REFUSED, operation, several

ROOT = Path(__file__).parents[2]


def test_the_data_beside_the_page_is_the_whole_picture(tmp_path: Path) -> None:
    beside = write_report(tmp_path / "new" / "run.html", picture(FACTS, FEW, [REFUSED]))
    assert beside == tmp_path / "new" / "run.json"
    data = json.loads(beside.read_text())
    assert data["began"] == 100.0
    assert data["seconds"] == 4.0
    assert [each["start"] for each in data["operations"]] == [0.0, 1.0, 2.0, 3.0]
    assert [each["kind"] for each in data["figures"]] == ["pull", "push"]
    assert data["traffic"] == {
        **{"requests": 1, "throttled": 1, "faulty": 0, "bytes_in": 0, "bytes_out": 9}
    }
    assert data["tests"][0] == {
        **{"test": HOSTILE, "waited": 2.0, "operations": 1, "seconds": 1.0},
        "transferred": 3_000_000,
    }
    assert data["marks"][0]["fault"] == "throttled"


def test_the_page_needs_nothing_from_outside() -> None:
    text = page(picture(FACTS, FEW, [REFUSED]))
    markup = text.replace("http://127.0.0.1:4000", "")
    assert not re.findall(r"""(?:https?:)?//[\w.-]+\.\w+|\bsrc=|<link|@import|url\(""", markup)
    assert "default-src 'none'" in text


@pytest.mark.parametrize(
    "content", ["{}", '{"name": "app", "format": 1}', '{"format": "x"}', "[]", ""]
)
def test_a_file_that_is_not_of_a_report_is_never_replaced(content: str, tmp_path: Path) -> None:
    beside = tmp_path / "package.json"
    beside.write_text(content)
    with pytest.raises(StateError, match=r"package\.json, which is there and is not of a report"):
        write_report(tmp_path / "package.html", picture(FACTS, FEW, []))
    assert beside.read_text() == content
    assert [each.name for each in tmp_path.iterdir()] == ["package.json"]


def test_a_report_is_replaced_by_the_next_one(tmp_path: Path) -> None:
    write_report(tmp_path / "run.html", picture(FACTS, FEW, []))
    beside = write_report(tmp_path / "run.html", picture(FACTS, [], []))
    assert json.loads(beside.read_text())["operations"] == []
    assert {each.name for each in tmp_path.iterdir()} == {"run.html", "run.json"}


def test_a_worker_is_called_the_same_in_operations_and_in_requests(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        def test_all(registry, registry_push):
            with registry.faults("PUT manifest", status=503, times=1):
                registry_push()
            assert {each.worker for each in registry.requests if each.account} == {"main"}
        """
    )
    options = ("--registry-engine=embedded", "--registry-report=run.html")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)
    data = json.loads((pytester.path / "run.json").read_text())
    found = (data["operations"], data["marks"])
    assert [{each["worker"] for each in listed} for listed in found] == [{"main"}, {"main"}]
    assert "pytest" in data["run"]["command"]


def members(value: Any, path: str = "") -> set[str]:
    """The members of a picture as its reference names them: `run.limits`, `marks[].at`."""
    if isinstance(value, list):
        return set().union(*(members(each, f"{path}[]") for each in value))
    if not isinstance(value, dict) or path == "run.limits":
        return {path}
    return set().union(
        *(members(each, f"{path}.{name}".strip(".")) for name, each in value.items())
    )


def test_the_reference_has_every_member_of_a_picture_and_no_other() -> None:
    text = (ROOT / "docs" / "reference" / "report.md").read_text()
    documented = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == members(picture(FACTS, FEW, [REFUSED]))


def test_the_reference_tells_where_a_picture_ends() -> None:
    text = (ROOT / "docs" / "reference" / "report.md").read_text()
    tests = [operation(test=f"test_{number}") for number in range(99)]
    drawn = picture(FACTS, tests, several(3000, "throttled"))
    assert f"the first {len(drawn['marks']):,}" in text
    assert f"the {len(drawn['tests'])} that waited longest" in text
    assert drawn["traffic"]["throttled"] == 3000


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["/usr/bin/pytest", "-n", "2", "a b"], "pytest -n 2 'a b'"),
        (["/lib/pytest/__main__.py", "-q"], "pytest -q"),
        (
            ["pytest", "--password=x", "--api-token", "y", "-k", "z"],
            "pytest --password=*** --api-token *** -k z",
        ),
        (["pytest", "-o", "a_secret=x"], "pytest -o a_secret=***"),
        (["pytest", "--to=http://me:pass@host/x"], "pytest '--to=http://***@host/x'"),
        ([], ""),
    ],
)
def test_a_command_is_told_without_its_secrets(arguments: list[str], shown: str) -> None:
    assert command_line(arguments) == shown
