"""The page with a run's picture: one file that needs nothing else, and its data beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_registry.errors import StateError

SCRIPTS = ("data.js", "drawing.js", "tables.js", "page.js")
"""The parts of the page's script, in the order in which each builds on those before it."""


def write_report(path: Path, picture: Mapping[str, Any]) -> Path:
    """Write the page to `path` and JSON of the same name beside it, whose path is returned.

    A report that is there already is replaced. Raises StateError, also where the JSON that would
    be replaced is something else: only the page's name was given, and `package.html` would cost
    `package.json`.
    """
    beside = path.with_suffix(".json")
    try:
        if beside.exists() and not _is_picture(beside.read_bytes()):
            raise _refused(path, beside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(picture, beside.name), encoding="utf-8")
        _replace(beside, json.dumps(picture, indent=1))
    except OSError as error:
        raise StateError(f"write the report {path}", str(error), section="cannot-write") from error
    return beside


def _is_picture(content: bytes) -> bool:
    """Whether it is the JSON of a report."""
    try:
        found = json.loads(content)
    except ValueError:  # UnicodeDecodeError too
        return False
    return (
        isinstance(found, dict) and isinstance(found.get("format"), int) and found.keys() >= _HELD
    )


_HELD = frozenset({"run", "operations", "traffic"})


def _refused(path: Path, beside: Path) -> StateError:
    return StateError(
        f"write the report {path}",
        f"its data goes to {beside}, which is there and is not of a report",
        f"give another name than {path.name}, or move {beside.name} away",
        section="cannot-write",
    )


def _replace(path: Path, text: str) -> None:
    """Write a file at once: half of a report's data could not be told from somebody else's file."""
    unborn = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unborn.write_text(text, encoding="utf-8")
        unborn.replace(path)
    finally:
        unborn.unlink(missing_ok=True)


def page(picture: Mapping[str, Any], beside: str = "") -> str:
    """The page as text; `beside` is the name of the file with its data, empty for none."""
    parts = files("pytest_registry.report").joinpath("page")
    text = parts.joinpath("page.html").read_text("utf-8")
    inlined = {
        "/* STYLE */": parts.joinpath("page.css").read_text("utf-8"),
        "/* SCRIPT */": "\n".join(parts.joinpath(name).read_text("utf-8") for name in SCRIPTS),
        "/* BESIDE */": quote(beside),
        "/* DATA */": _script_safe(json.dumps(picture, separators=(",", ":"))),
    }
    for mark, content in inlined.items():
        text = text.replace(mark, content)
    return text


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element that it stands in, whatever a test is called."""
    return text.replace("<", "\\u003c")
