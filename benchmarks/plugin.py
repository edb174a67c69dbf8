"""What the plugin costs a run that does not use it: `python -m benchmarks.plugin`.

Compared with the same run and `-p no:registry`, in turn, each in a process of its own. The figure
is processor time from the moment pytest is imported (`one_run.py`): waiting for a core is not in
it, nor is pytest's own start, whose noise is greater than what is sought. (Runs forked from one
process would be steadier still, but a child copies the pages that it touches, which doubles what
the plugin's imports cost.) What else runs on a machine only ever adds, so the least of many runs is
the cost. Byte code is written as after an installation; other plugins are left out of both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

from benchmarks.measure import Fact, Result, Row, arguments, in_turn, report

RUN = Path(__file__).with_name("one_run.py")
TESTS = "def test_nothing():\n    pass\n"
COUNT = """
import sys, pytest
pytest.main(["-q", "-pno:cacheprovider"])
print(sum(name.partition(".")[0] == "pytest_registry" for name in sys.modules))
"""
OTHERS = [each.name for each in entry_points(group="pytest11") if each.name != "registry"]
WITH = ["-q", *(f"-pno:{name}" for name in (*OTHERS, "cacheprovider"))]


def measured(rounds: int) -> tuple[list[float], list[float], int]:
    """Milliseconds with and without the plugin, and how many of our modules were imported."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        tests, byte_code = Path(name, "tests"), Path(name, "byte-code")
        tests.mkdir()
        (tests / "test_nothing.py").write_text(TESTS)
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(byte_code)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)

        def last_word(*command: str) -> str:
            python = [sys.executable, *command]
            done = subprocess.check_output(python, cwd=tests, env=environment, text=True)
            return done.split()[-1]

        modules = int(last_word("-c", COUNT))
        figures = in_turn(
            rounds,
            ours=lambda: float(last_word(str(RUN), *WITH)),
            theirs=lambda: float(last_word(str(RUN), *WITH, "-pno:registry")),
        )
    return figures["ours"], figures["theirs"], modules


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    ours, bare, modules = measured(20 if asked.short else 60)
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
