"""What each of the three machines runs: threads that pull and push, and note when they held."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_registry import Registry

HOLD, PUSHERS, PULLERS, TIMES = 0.4, 2, 4, 3
PLACE = Path(os.environ["PROOF"])
HOST = os.environ["PROOF_HOST"]


def note(line: str) -> None:
    with (PLACE / f"notes-{os.getpid()}").open("a") as file:
        file.write(f"{line}\n")


@pytest.mark.parametrize("number", range(4))
def test_pulls_and_pushes(registry: Registry, number: int) -> None:
    registry.client.ping()
    (PLACE / f"ready-{HOST}-{number}").touch()
    while not (PLACE / "go").exists():
        time.sleep(0.01)
    kinds = ["push"] * PUSHERS + ["pull"] * PULLERS
    names = [f"{kind}/{HOST}-{number}-{index}" for index, kind in enumerate(kinds)]
    with ThreadPoolExecutor(len(names)) as threads:
        for done in [threads.submit(work, registry, name) for name in names]:
            done.result()


def work(registry: Registry, base: str) -> None:
    """One operation after the other, each with a request at its beginning and at its end."""
    kind = base.partition("/")[0]
    limit = registry.limits.push if kind == "push" else registry.limits.pull
    for turn in range(TIMES):
        name = f"{base}-{turn}"
        with limit(name):
            note(f"in {kind} {name} {time.monotonic()}")
            registry.client.has_blob(name, "sha256:" + "0" * 64)
            time.sleep(HOLD)
            if kind == "push":
                registry.client.put_blob(name, name.encode())
            else:
                registry.client.exists(name, "latest")
            note(f"out {kind} {name} {time.monotonic()}")
