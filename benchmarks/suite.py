"""A suite of 200 tests with 1, 2, 4 and 8 workers: `python -m benchmarks.suite`.

Each test pushes a small image of its own to the embedded registry and reads it back. What is
watched is that the registry's work does not grow with the workers: one registry is started, and the
sample image's bytes move once. More workers than cores gain nothing with tests as small as these,
and each imports everything anew: what that may cost has a bar.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Fact, Result, Row, arguments, in_turn, report
from benchmarks.sessions import EMBEDDED, environment

MOST_SECONDS = 3.0
"""Times those of one worker: so many took a suite with 2 workers of the nearest peer (issue 4)."""

TESTS = """
import uuid
from pathlib import Path
import pytest
from pytest_registry import synthetic_image

@pytest.fixture(scope="session", autouse=True)
def noted(registry, registry_nginx_image):
    yield
    [log] = Path("state").glob("*/runs/*/requests.jsonl")
    lines = [registry.url, *log.read_text().splitlines()]
    Path(f"worker-{uuid.uuid4().hex}").write_text(chr(10).join(lines))

@pytest.mark.parametrize("number", range(COUNT))
def test_push(registry_push, registry, number):
    pushed = registry_push(synthetic_image(number, layer_size=20_000))
    assert registry.manifest(pushed.repository)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of the suite."""

    seconds: float
    registries: int
    pushes: int
    megabytes: float


def suite(workers: int, count: int) -> Outcome:
    """Run it; tells its seconds, how many registries its workers saw, and what was sent to them."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        (directory / "test_suite.py").write_text(TESTS.replace("COUNT", str(count)))
        command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider"]
        command += [*EMBEDDED.options, f"--registry-state-dir={name}/state"]
        command += [f"--numprocesses={workers}"] if workers > 1 else []
        begun = time.monotonic()
        done = subprocess.run(
            command, cwd=directory, env=environment(), capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - begun
        if done.returncode:
            raise RuntimeError(done.stdout[-3000:] + done.stderr[-1000:])
        seen = [path.read_text().splitlines() for path in directory.glob("worker-*")]
    # The last worker to end has read what all of them sent.
    requests = [json.loads(line) for line in max(seen, key=len)[1:]]
    pushes = [each for each in requests if each["method"] == "PUT" and each["route"] == "manifest"]
    megabytes = sum(each["bytes_in"] for each in requests) / 1e6
    return Outcome(seconds, len({lines[0] for lines in seen}), len(pushes), megabytes)


def compared(name: str, outcomes: list[Outcome], alone: list[Outcome]) -> list[Row]:
    """Several workers beside one."""

    def row(what: str, unit: str, attribute: str, bar: float) -> Row:
        ours, theirs = ([getattr(each, attribute) for each in of] for of in (outcomes, alone))
        return Row(f"{name}: {what}", unit, ours, "1 worker", theirs, bar)

    return [
        row("time", "s", "seconds", MOST_SECONDS),
        row("bytes pushed", "MB", "megabytes", 1.01),
    ]


def measure(*, short: bool) -> Result:
    """All figures beside one worker's."""
    count, times = (40, 3) if short else (200, 5)
    crowds = (1, 4) if short else (1, 2, 4, 8)
    found = in_turn(times, **{str(workers): partial(suite, workers, count) for workers in crowds})
    rows, facts = [], []
    for workers, outcomes in zip(crowds, found.values(), strict=True):
        name = f"{count} tests, {workers} worker{'s' if workers > 1 else ''}"
        if workers > 1:
            rows += compared(name, outcomes, found["1"])
        registries = max(each.registries for each in outcomes)
        pushes = max(each.pushes for each in outcomes)
        facts += [
            Fact(f"{name}: registries started", "registries", registries, 1, rounds=times),
            Fact(
                f"{name}: pushes, the sample image's included",
                "pushes",
                pushes,
                count + 1,
                rounds=times,
            ),
        ]
    return Result("A suite that shares a registry", rows, facts)


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    return report(measure(short=asked.short), asked.json)


if __name__ == "__main__":
    sys.exit(main())
