"""Doing what is expensive once per run, whichever worker comes first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from pytest_registry.sharing.directories import private_directory, write_private
from pytest_registry.sharing.run import Run


def once(run: Run, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` gave the first process that asked for `name`, as plain data.

    Whoever asks meanwhile waits. Where `make` raises nothing is kept, and the next one tries.
    """
    directory = private_directory(run.file("once"))
    key = hashlib.sha256(name.encode()).hexdigest()[:24]
    result = directory / f"{key}.json"
    if not result.exists():
        from filelock import FileLock

        lock = directory / f"{key}.lock"
        with FileLock(lock, mode=0o600, fallback_to_soft=False, poll_interval=0.01):
            if not result.exists():
                made = make()
                write_private(result, json.dumps(made))
                return made
    value: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return value
