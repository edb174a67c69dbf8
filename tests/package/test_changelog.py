"""The changelog's fragments: one per change, by names and of a form that towncrier collects."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOWNCRIER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
KINDS = "|".join(kind["directory"] for kind in TOWNCRIER["type"])


def wrong(directory: Path) -> list[str]:
    """The fragments that have another name than ISSUE.KIND[.NUMBER].md, or no sentence."""
    return sorted(
        path.name
        for path in directory.iterdir()
        if path.name != "template.md"
        and not (
            re.fullmatch(rf"\d+\.({KINDS})(\.\d+)?\.md", path.name)
            and path.read_text().strip().endswith(".")
        )
    )


def test_every_fragment_has_a_name_that_towncrier_takes_and_a_sentence() -> None:
    assert wrong(ROOT / TOWNCRIER["directory"]) == []


def test_a_wrong_name_and_an_empty_fragment_are_found(tmp_path: Path) -> None:
    for name in ("9.fixed.md", "9.fixed.2.md", "nine.fixed.md", "9.improved.md", "9.fixed.txt"):
        (tmp_path / name).write_text("A sentence.\n")
    (tmp_path / "9.added.md").write_text("\n")
    assert wrong(tmp_path) == ["9.added.md", "9.fixed.txt", "9.improved.md", "nine.fixed.md"]
