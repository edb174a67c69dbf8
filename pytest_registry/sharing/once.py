"""Doing what is expensive once per run, whichever worker comes first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_registry.security.files import write_secret
from pytest_registry.security.locks import locked
from pytest_registry.sharing.directories import private_directory
from pytest_registry.sharing.run import Run

SAMPLE = "sample"
"""The name under which the sample image is made once."""

STAND_IN = "stand-in"
"""The name under which is kept why a synthetic image stands for the sample image."""


def once(run: Run, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` gave the first process that asked for `name`, as plain data.

    Whoever asks meanwhile waits. Where `make` raises nothing is kept, and the next one tries.
    """
    result = _result(run, name)
    if not result.exists():
        private_directory(result.parent)
        with locked(result.with_suffix(".lock")):
            if not result.exists():
                write_secret(result, json.dumps(make()))
    value: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return value


def made(run: Run, name: str) -> dict[str, Any] | None:
    """What was made under `name`; None if nobody asked for it."""
    try:
        value: dict[str, Any] = json.loads(_result(run, name).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return value


def _result(run: Run, name: str) -> Path:
    return run.file("once") / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
