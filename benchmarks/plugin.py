"""What the plugin costs a run that does not use it: `python -m benchmarks.plugin`.

Compared with the same run and `-p no:registry`, in turn, each in a process of its own. The bar is
for the ratio of the processor time from the moment pytest is imported (`one_run.py`): waiting for a
core is not in it, nor is pytest's own start. The process's whole processor time is told beside it,
with the interpreter's own end, of which a plugin can make a long one. (Runs forked from one process
would be steadier, but a child copies the pages that it touches, which doubles what the plugin's
imports cost.) Byte code is written as after an installation; other plugins are left out of both.

The bar is 3 ms of the 53 ms that such a run takes where nothing else runs on our machine. What is
added is told of such a run, too: neighbours make a run take up to twice as long, with and without
the plugin, and the difference of the least of a hundred runs was -3 ms one time and 7 the next.

With two workers of xdist the controller's part is told: it tells each worker of the run before any
test can ask for a registry, so it has a name for the run and the locks of its life.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from benchmarks.measure import Fact, Result, Row, arguments, in_turn, report

RUN = Path(__file__).with_name("one_run.py")
ALONE = 53
"""Milliseconds of a run without the plugin, on a machine that has nothing else to do."""
TESTS = "def test_nothing():\n    pass\n"
COUNT = """
import sys, pytest
pytest.main(sys.argv[1:])
print(sum(name.partition(".")[0] == "pytest_registry" for name in sys.modules))
"""
WORKERS = "--numprocesses=2"
PLUGINS = [each.name for each in entry_points(group="pytest11") if each.name != "registry"]


def options(*kept: str) -> list[str]:
    """pytest's, with no plugin but ours and those."""
    out = [name for name in PLUGINS if name not in kept]
    return ["-q", *(f"-pno:{name}" for name in (*out, "cacheprovider"))]


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of processor time: pytest's run, and the whole process that it was in."""

    run: float
    process: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Of all rounds, with and without the plugin, and how many of our modules were imported."""

    ours: Sequence[Cost]
    theirs: Sequence[Cost]
    modules: int


def measured(rounds: int, *asked: str) -> Costs:
    """What a run with these options costs, which the process that was spawned does itself."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        tests, byte_code = Path(name, "tests"), Path(name, "byte-code")
        tests.mkdir()
        (tests / "test_nothing.py").write_text(TESTS)
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(byte_code)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)

        def last_word(*command: str) -> tuple[str, float]:
            before = _children()
            python = [sys.executable, *command]
            done = subprocess.check_output(python, cwd=tests, env=environment, text=True)
            return done.split()[-1], _children() - before

        def run(*more: str) -> Cost:
            word, process = last_word(str(RUN), *asked, *more)
            return Cost(float(word), process)

        modules = int(last_word("-c", COUNT, *asked)[0])
        ways: dict[str, Callable[[], Cost]] = {"ours": run, "theirs": partial(run, "-pno:registry")}
        in_turn(1, **ways)  # they write the byte code
        found = in_turn(rounds, **ways)
    return Costs(found["ours"], found["theirs"], modules)


def _children() -> float:
    """Milliseconds of processor time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def measure(*, short: bool) -> Result:
    """All figures beside a run without the plugin."""
    bare = "-p no:registry"
    alone = measured(25 if short else 100, *options())
    controller = measured(3 if short else 20, *options("xdist"), WORKERS)
    runs, bare_runs = _runs(alone.ours), _runs(alone.theirs)
    whole, bare_whole = ([each.process for each in of] for of in (alone.ours, alone.theirs))
    controls, bare_controls = _runs(controller.ours), _runs(controller.theirs)
    rows = [
        Row("processor time of a run", "ms", runs, bare, bare_runs, 1 + 3 / ALONE),
        Row("processor time of the process", "ms", whole, bare, bare_whole),
        Row("processor time of the controller, -n 2", "ms", controls, bare, bare_controls),
    ]
    facts = [
        _added(f"added by the plugin to a run of {ALONE} ms", runs, bare_runs),
        Fact("modules of ours imported", "modules", alone.modules, 5),
        Fact("modules of ours imported by the controller, -n 2", "modules", controller.modules),
    ]
    return Result("A run that does not use the registry", rows, facts)


def _runs(costs: Sequence[Cost]) -> list[float]:
    return [each.run for each in costs]


def _added(what: str, ours: Sequence[float], theirs: Sequence[float]) -> Fact:
    ratio = statistics.median(own / bare for own, bare in zip(ours, theirs, strict=True))
    return Fact(what, "ms", (ratio - 1) * ALONE, goal=3, rounds=len(ours))


def main() -> int:
    """Measure and report."""
    asked = arguments(__doc__)
    return report(measure(short=asked.short), asked.json)


if __name__ == "__main__":
    sys.exit(main())
