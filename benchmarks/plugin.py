"""What the plugin costs a run that does not use it: `python -m benchmarks.plugin`.

Compared with the same run and `-p no:registry`, in turn. The figure is processor time, in children
of a process that has imported pytest already (`forked_runs.py`): waiting for a core is not in it,
nor is pytest's own start, whose noise is greater than what is sought. What other programs on the
machine add to it (caches, interrupts) they only ever add, so the least of many runs is the cost.
Byte code is written as after an installation; other installed plugins are left out of both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Fact, Result, Row, arguments, report

RUNS = Path(__file__).with_name("forked_runs.py")
TESTS = "def test_nothing():\n    pass\n"
COUNT = """
import sys, pytest
pytest.main(["-q", "-pno:cacheprovider"])
print(sum(name.partition(".")[0] == "pytest_registry" for name in sys.modules))
"""


def measured(rounds: int) -> tuple[list[float], list[float], int]:
    """Milliseconds with and without the plugin, and how many of our modules were imported."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        tests, byte_code = Path(name, "tests"), Path(name, "byte-code")
        tests.mkdir()
        (tests / "test_nothing.py").write_text(TESTS)
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(byte_code)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)

        def output(*command: str) -> list[str]:
            python = [sys.executable, *command]
            done = subprocess.check_output(python, cwd=tests, env=environment, text=True)
            return done.splitlines()

        modules = int(output("-c", COUNT)[-1])
        pairs = [line.split() for line in output(str(RUNS), str(rounds))]
    return [float(ours) for ours, _ in pairs], [float(bare) for _, bare in pairs], modules


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    ours, bare, modules = measured(40 if asked.short else 200)
    result = Result(
        "A run that does not use the registry",
        [Row("processor time of a run", "ms", ours, "-p no:registry", bare, 1.15)],
        [
            Fact("added by the plugin, least of all runs", "ms", min(ours) - min(bare), goal=3.0),
            Fact("modules of ours imported", "modules", modules, 5),
        ],
    )
    return report(result, asked.json)


if __name__ == "__main__":
    sys.exit(main())
