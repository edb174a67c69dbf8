"""The keeper as seen by the process that starts it.

It is started before there is anything to keep: so whatever is made for a run has, from its first
file on, somebody who removes it, though its maker be killed the moment after.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, cast

from pytest_registry.sharing.run import Run

MEASURED = ("COVERAGE_PROCESS_", "COV_CORE_")
"""Beginnings of the variables by which coverage and pytest-cov measure other processes."""


class KeeperProcess:
    """A run's keeper, and its guardian, which wait until they are let begin.

    What is written to their standard input is the run, with the name of its directory while this
    process makes it, and the end of that input says: begin. That end comes too when this process is
    killed; then they remove what it has made so far.
    """

    def __init__(self, run: Run) -> None:
        """Start them, and return when both are there or have failed."""
        self._run = run
        # -P: a directory `docker` or a file `queue.py` in the tests' own must not be imported.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pytest_registry.sharing.keeper", str(run.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=run.directory.anchor,
            env=keeper_environment(os.environ),
            start_new_session=True,
        )
        self._stdin, self._stdout, self._stderr = (
            cast("IO[bytes]", each)
            for each in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        with contextlib.suppress(BrokenPipeError):  # it failed; what it said is read below
            task = {"run": run.to_json(), "unborn": str(run.unborn(os.getpid()))}
            self._stdin.write(f"{json.dumps(task)}\n".encode())
            self._stdin.flush()
        self._stdout.read(1)

    def begin(self) -> None:
        """Let them begin: the run has its directory, or will never have one."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def wait_until_told(self, say: Callable[[str], None]) -> None:
        """Wait until the keeper has told an endpoint or an error, or has ended without.

        `say` is told each line that the keeper says of what it waits for meanwhile.
        The keeper proper is a grandchild and holds standard output until it has told its state;
        the child ended at once. Where there is no fork the child is the keeper, not waited for.
        """
        with self._stdout, self._stderr:
            for line in self._stdout:
                say(line.decode(errors="replace").rstrip())
            self._note(self._stderr.read())
        if os.name == "posix":
            self._process.wait()

    def close(self) -> None:
        """Let go of what it may still say."""
        self.begin()
        self._stdout.close()
        self._stderr.close()
        if os.name == "posix":
            self._process.wait()

    def _note(self, failure: bytes) -> None:
        """Keep what was said before there was a log to say it in."""
        if failure:
            with contextlib.suppress(OSError), self._run.keeper_log.open("ab") as log:
                log.write(failure)


def keeper_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a keeper, which begins elsewhere, and outlives the run.

    So it finds modules by absolute paths, and is not measured: its data would come when all has
    been combined, and stay in the project.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(MEASURED)}
    if "PYTHONPATH" in kept:
        entries = filter(None, kept["PYTHONPATH"].split(os.pathsep))
        kept["PYTHONPATH"] = os.pathsep.join(map(_as_python_began, entries))
    return kept


def _as_python_began(entry: str) -> str:
    """The absolute path of an entry of PYTHONPATH: a test may have gone elsewhere since.

    Python made it absolute in `sys.path`, where it is looked for by its end.
    """
    parts = Path(entry).parts
    found = (each for each in sys.path if Path(each).is_absolute())
    ends = (each for each in found if parts and Path(each).parts[-len(parts) :] == parts)
    return next(ends, os.path.abspath(entry))  # noqa: PTH100 - resolves no links
