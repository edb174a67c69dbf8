"""What the plugin costs a run that does not use it: `python -m benchmarks.plugin`.

Processor time rather than time passed, run against run in turn, and the least of many: the cost is
a few milliseconds of a few hundred, and other programs on the machine only ever add to it.
Other installed plugins are left out of both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Fact, Result, Row, arguments, in_turn, report

COUNT = "import sys; print(sum(n.partition('.')[0] == 'pytest_registry' for n in sys.modules))"
TESTS = f"""
def test_nothing():
    pass

def test_modules(capsys):
    with capsys.disabled():
        exec({COUNT!r})
"""


def processor_ms(command: list[str], directory: Path) -> float:
    """Milliseconds of processor time that a command takes, its children's included."""
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return (usage.ru_utime + usage.ru_stime) * 1000


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "test_nothing.py").write_text(TESTS)
        bare = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        pytest = [*bare, "-p", "pytest_registry.plugin"]
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        modules = subprocess.check_output([*pytest, "-s"], cwd=directory, text=True)
        figures = in_turn(
            15 if asked.short else 60,
            ours=lambda: processor_ms(pytest, directory),
            theirs=lambda: processor_ms(bare, directory),
        )
    added = min(figures["ours"]) - min(figures["theirs"])
    count = next(int(word) for word in modules.replace(".", " ").split() if word.isdecimal())
    result = Result(
        "A run that does not use the registry",
        [
            Row("processor time", "ms", figures["ours"], "without it", figures["theirs"], 1.05),
        ],
        [
            Fact("added by the plugin, least of all runs", "ms", added, 3.0),
            Fact("modules of ours imported", "modules", count, 5),
        ],
    )
    return report(result, asked.json)


if __name__ == "__main__":
    sys.exit(main())
