"""Every benchmark, one after the other: `python -m benchmarks.all [--short] [--json DIR]`.

Fails when a ratio, or a count, passes its bar by more than the measured noise; never for an
absolute time. What a benchmark needs and this machine lacks fails too, or it would go unseen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("plugin", "start", "first_push", "embedded", "gateway", "limits", "sharing", "suite")


def main() -> int:
    """Run them; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer rounds, for CI")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write a file of figures each")
    asked = parser.parse_args()
    failed = []
    for name in NAMES:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if asked.short:
            command.append("--short")
        if asked.json is not None:
            asked.json.mkdir(parents=True, exist_ok=True)
            command += ["--json", str(asked.json / f"{name}.json")]
        begun = time.monotonic()
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"({name} took {time.monotonic() - begun:.0f} s)\n", flush=True)
    print(f"FAILED: {', '.join(failed)}" if failed else "every bar is kept")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
