"""Coming to the run's registry: the first process that asks starts it, all others attach."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.engines.readiness import tail
from pytest_registry.errors import RegistryEnded, StartError, Unsupported
from pytest_registry.sharing import state
from pytest_registry.sharing.liveness import Watch, is_held
from pytest_registry.sharing.run import Run, this_machine

BURIAL = 2.0
"""Seconds in which a dead registry's end is told: its keeper or guardian does so at once."""


def attach(run: Run) -> Endpoint:
    """The run's registry, started if nobody has; raises what the start raised, StartError."""
    if run.machine != this_machine():
        raise _on_another_machine(run)
    endpoint = state.read_endpoint(run)
    if endpoint is not None:
        return endpoint
    from filelock import FileLock

    with FileLock(run.start, mode=0o600, fallback_to_soft=False, poll_interval=0.01):
        endpoint = state.read_endpoint(run)
        if endpoint is None:
            _start_keeper(run)
            endpoint = state.read_endpoint(run)
    if endpoint is None:
        raise StartError(
            "start the run's registry",
            "its keeper process ended without a word",
            "this is a fault of pytest-registry; its log is below",
            log=tail(run.keeper_log),
        )
    return endpoint


def find_end(run: Run, asked: str) -> RegistryEnded | None:
    """Whether an operation failed because the registry ended: the error that says so, or None."""
    if state.read_end(run, asked) is None and not is_held(run.keeper):
        state.write_end(run, "its keeper processes were killed", tail(run.registry_log))
    return state.read_end(run, asked)


def _start_keeper(run: Run) -> None:
    """Start the keeper and wait until it has told an endpoint or an error, or has died."""
    if is_held(run.keeper):
        _wait_for_another_start(run)
        return
    run.keeper_log.touch(mode=0o600)
    with run.keeper_log.open("ab") as log:
        # -P: a directory `docker` or a file `queue.py` in the tests' own must not be imported.
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "pytest_registry.sharing.keeper", str(run.directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=run.directory.parent,
            start_new_session=True,
        )
    # The keeper proper is a grandchild and holds the pipe open until it has told its state; the
    # child ends at once. Where there is no fork the child is the keeper and is not waited for.
    if keeper.stdout is not None:
        with keeper.stdout as until_told:
            until_told.read()
    if os.name == "posix":
        keeper.wait()


def _wait_for_another_start(run: Run) -> None:
    """Wait for a keeper whose starter was killed: it goes on by itself."""
    with Watch(run.keeper) as keeper:
        while not run.state.exists() and keeper.is_held():
            time.sleep(0.05)


def _on_another_machine(run: Run) -> Unsupported:
    return Unsupported(
        "share the run's registry with this xdist worker",
        f"the worker runs on {this_machine().partition('/')[0]},"
        f" the run was started on {run.machine.partition('/')[0]}, and they share no files",
        "start one pytest per host, or give all of them one registry that already runs",
    )
