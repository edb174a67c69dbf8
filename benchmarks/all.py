"""Every benchmark, one after the other: `python -m benchmarks.all [--short] [--json DIR]`.

Fails when a ratio, or a count, misses its bar by more than the measured noise; never for an
absolute time. What was missed is measured once more first: a machine that is shared with others can
be noisier for a while than the rounds of one measurement tell. What a benchmark needs and this
machine lacks fails too, or it would go unseen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

NAMES = (
    *("plugin", "start", "first_push", "embedded", "gateway"),
    *("limits", "hosts", "sharing", "suite"),
)


NO_FIGURES = "it ended without figures"
"""Stands for whatever else the measurement might have missed."""


def missed_twice(measure: Callable[[], set[str]]) -> set[str]:
    """What a measurement misses, and misses again when it is made once more."""
    missed = measure()
    if not missed:
        return missed
    print(f"missed: {', '.join(sorted(missed))}; once more", flush=True)
    again = measure()
    if NO_FIGURES in missed:
        return again
    return missed if NO_FIGURES in again else missed & again


def run(name: str, directory: Path, *, short: bool) -> set[str]:
    """Run a benchmark, whose figures go to `directory`; gives the names of what it missed."""
    figures = directory / f"{name}.json"
    figures.unlink(missing_ok=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(figures)]
    status = subprocess.run([*command, *(["--short"] if short else [])], check=False).returncode
    if not figures.exists():
        print(f"{name} ended with status {status}", flush=True)
        return {NO_FIGURES}
    return set(json.loads(figures.read_text())["missed"])


def main() -> int:
    """Run them; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer rounds, for CI")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write a file of figures each")
    asked = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        directory = asked.json or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            begun = time.monotonic()
            missed = missed_twice(partial(run, name, directory, short=asked.short))
            failed += [f"{name}: {what}" for what in sorted(missed)]
            print(f"({name} took {time.monotonic() - begun:.0f} s)\n", flush=True)
    print("FAILED\n" + "\n".join(failed) if failed else "every bar is kept, but for the noise")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
