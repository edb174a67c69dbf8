"""What the plugin costs a run that does not use it: `python -m benchmarks.plugin`.

Compared with the same run and `-p no:registry`, in turn, each in a process of its own. The bar is
for the ratio of the processor time from the moment pytest is imported (`one_run.py`): waiting for a
core is not in it, nor is pytest's own start. The process's whole processor time is told beside it,
where the plugin is lost in the noise. (Runs forked from one process would be steadier, but a child
copies the pages that it touches, which doubles what the plugin's imports cost.) What else runs on a
machine only ever adds, so the difference of the least of many runs is the cost in ms. Byte code is
written as after an installation; other plugins are left out of both.

The bar is 3 ms, told as a part of the 53 ms that such a run takes where nothing else runs on our
machine. Half a ms of what it costs is how pytest reads a plugin's byte code: object by object.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of processor time: pytest's run, and the whole process that it was in."""

    run: float
    process: float


def measured(rounds: int) -> tuple[list[Cost], list[Cost], int]:
    """The costs with and without the plugin, and how many of our modules were imported."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        tests, byte_code = Path(name, "tests"), Path(name, "byte-code")
        tests.mkdir()
        (tests / "test_nothing.py").write_text(TESTS)
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(byte_code)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
        costs: dict[str, list[Cost]] = {"ours": [], "theirs": []}

        def last_word(*command: str) -> tuple[str, float]:
            before = _children()
            python = [sys.executable, *command]
            done = subprocess.check_output(python, cwd=tests, env=environment, text=True)
            return done.split()[-1], _children() - before

        def run(who: str, *options: str) -> float:
            word, process = last_word(str(RUN), *WITH, *options)
            costs[who].append(Cost(float(word), process))
            return process

        modules = int(last_word("-c", COUNT)[0])
        run("ours"), run("theirs", "-pno:registry")  # they write the byte code
        costs = {"ours": [], "theirs": []}
        in_turn(rounds, ours=lambda: run("ours"), theirs=lambda: run("theirs", "-pno:registry"))
    return costs["ours"], costs["theirs"], modules


def _children() -> float:
    """Milliseconds of processor time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    ours, theirs, modules = measured(25 if asked.short else 100)
    bare = "-p no:registry"
    runs, bare_runs = [each.run for each in ours], [each.run for each in theirs]
    whole, bare_whole = [each.process for each in ours], [each.process for each in theirs]
    result = Result(
        "A run that does not use the registry",
        [
            Row("processor time of a run", "ms", runs, bare, bare_runs, 1 + 3 / 53),
            Row("processor time of the process", "ms", whole, bare, bare_whole),
        ],
        [
            Fact(
                "added by the plugin, least of all runs", "ms", min(runs) - min(bare_runs), goal=3
            ),
            Fact("modules of ours imported", "modules", modules, 5),
        ],
    )
    return report(result, asked.json)


if __name__ == "__main__":
    sys.exit(main())
