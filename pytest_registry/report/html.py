"""The page with a run's picture: one file that needs nothing else, and its data beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pytest_registry.errors import StateError

SCRIPTS = ("data.js", "drawing.js", "page.js")
"""The parts of the page's script, in the order in which each builds on those before it."""


def write_report(path: Path, picture: Mapping[str, Any]) -> Path:
    """Write the page to `path` and JSON of the same name beside it, whose path is returned.

    Raises StateError.
    """
    beside = path.with_suffix(".json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(picture), encoding="utf-8")
        beside.write_text(json.dumps(picture, indent=1), encoding="utf-8")
    except OSError as error:
        raise StateError(f"write the report {path}", str(error)) from error
    return beside


def page(picture: Mapping[str, Any]) -> str:
    """The page as text."""
    parts = files("pytest_registry.report").joinpath("page")
    text = parts.joinpath("page.html").read_text("utf-8")
    inlined = {
        "/* STYLE */": parts.joinpath("page.css").read_text("utf-8"),
        "/* SCRIPT */": "\n".join(parts.joinpath(name).read_text("utf-8") for name in SCRIPTS),
        "/* DATA */": _script_safe(json.dumps(picture, separators=(",", ":"))),
    }
    for mark, content in inlined.items():
        text = text.replace(mark, content)
    return text


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element that it stands in, whatever a test is called."""
    return text.replace("<", "\\u003c")
