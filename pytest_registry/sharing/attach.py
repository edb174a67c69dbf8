"""Coming to the run's registry: the first process that asks starts it, all others attach."""

from __future__ import annotations

import contextlib
import socket
import time

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import RegistryEnded, RegistryError, Unsupported
from pytest_registry.security.locks import locked
from pytest_registry.sharing import state
from pytest_registry.sharing.keeper_process import KeeperProcess
from pytest_registry.sharing.last_words import last_words
from pytest_registry.sharing.limiting import Say
from pytest_registry.sharing.liveness import is_held
from pytest_registry.sharing.run import Run, this_machine

BURIAL = 5.0
"""Seconds in which a dead registry's end is told: its keeper or guardian does so at once."""

APPEARANCE = 10.0
"""Seconds in which a keeper that was let begin holds the lock of those that serve."""

ANSWER = 1.0
"""Seconds in which a registry that serves takes a connection, and says something."""


def attach(run: Run, say: Say) -> Endpoint:
    """The run's registry, started if nobody has; raises what the start raised, StartError.

    `say` is told what a start waits for.
    """
    if run.machine != this_machine():
        raise _on_another_machine(run)
    endpoint = _told(run)
    if endpoint is not None:
        return endpoint
    try:
        with locked(run.start):
            return _told(run) or _start(run, say)
    except FileNotFoundError as error:
        raise _is_over(run, "use the run's registry") from error


def find_end(run: Run, asked: str) -> RegistryEnded | None:
    """Whether an operation failed because the registry ended: the error that says so, or None.

    Where the registry does not answer, whoever saw its end is given the time to tell it. Where its
    keeper is dead it has ended, even if its port is open: a container ends a moment later, and the
    engine's proxy for its port after that. A registry that is not the run's own has no end that
    anybody would tell.
    """
    deadline = time.monotonic() + BURIAL
    while (end := state.read_end(run, asked)) is None:
        if not run.directory.exists():
            return _is_over(run, asked)
        endpoint = state.find_endpoint(run)
        if endpoint is None or (endpoint.engine == "external" and endpoint.behind is None):
            return None
        is_kept = is_held(run.serving)
        if is_kept and _answers(endpoint):
            return None
        if not is_held(run.keeper):
            return _tell_end(run, asked)
        if time.monotonic() > deadline:
            return None if is_kept else _tell_end(run, asked)
        time.sleep(0.05)
    return end


def _told(run: Run) -> Endpoint | None:
    """Where the registry was started; None as long as it was not. Raises what its start raised."""
    return state.read_endpoint(run) if run.is_there else None


def _answers(endpoint: Endpoint) -> bool:
    """Whether the registry takes connections, and says something where only a proxy may take them.

    A gate is asked nothing: it notes requests, and a test may have told it to fail the next.
    """
    address, _, port = endpoint.host.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((address, int(port)), ANSWER) as at:
        # No request, which the registry would log and warn of: but whoever serves says something.
        if (tls := endpoint.tls_context()) is not None:
            with tls.wrap_socket(at, server_hostname=address) as secured:
                secured.unwrap()  # an end that is none of its own would stand in the log
                return True
        if endpoint.engine != "container" or endpoint.request_log is not None:
            return True
        at.sendall(b"?\r\n\r\n")
        return at.recv(1) != b""
    return False


def _tell_end(run: Run, asked: str) -> RegistryEnded:
    """Tell the end that nobody else is left to tell."""
    how, log = "its keeper processes were killed", last_words(run)
    with contextlib.suppress(RegistryError):
        state.write_end(run, how, log)
    return state.read_end(run, asked) or state.ended(asked, how, log)


def _start(run: Run, say: Say) -> Endpoint:
    """Start the registry, tried once per run: an error is told to all. The start lock is held."""
    _start_keeper(run, say)
    endpoint = state.read_endpoint(run)
    if endpoint is None:
        error = state.not_told(run)
        state.write_error(run, error)  # raises what kept the keeper from telling: a full disk
        raise error
    return endpoint


def _start_keeper(run: Run, say: Say) -> None:
    """Start the keeper and wait until it has told an endpoint or an error, or has died.

    Raises StateError.
    """
    begins = not (run.is_there and is_held(run.keeper))
    if begins:
        keeper = KeeperProcess(run)
        try:
            _make_directory(run)
        except BaseException:
            keeper.close()
            raise
        keeper.begin()
        keeper.wait_until_told(say)
    _wait_for_another_start(run, 0.0 if begins else APPEARANCE)


def _make_directory(run: Run) -> None:
    """Make the run's directory if nobody has; raises StateError, FileNotFoundError if it is over.

    It is made by whoever asks first, whose keeper is there to remove it.
    """
    if not is_held(run.life):
        raise FileNotFoundError(run.life)
    if not run.is_there:
        run.make()


def _wait_for_another_start(run: Run, appearance: float) -> None:
    """Wait for a keeper whose starter was killed: it goes on by itself, and lets no other begin.

    It may be `appearance` seconds before that keeper holds its lock. Its guardian is not waited
    for, which outlives a keeper that could tell nothing, as on a full disk.
    """
    patience = time.monotonic() + appearance
    while not run.state.exists() and is_held(run.keeper):
        if is_held(run.serving):
            patience = time.monotonic() + BURIAL
        elif time.monotonic() > patience:
            return
        time.sleep(0.05)


def _is_over(run: Run, asked: str) -> RegistryEnded:
    """The error in a process that outlives its run."""
    how = f"the run is over, or this process does not see its directory {run.directory}"
    return state.ended(asked, how, [])


def _on_another_machine(run: Run) -> Unsupported:
    return Unsupported(
        "share the run's registry with this xdist worker",
        f"the worker runs on {this_machine().partition('/')[0]},"
        f" the run was started on {run.machine.partition('/')[0]}, and they share no files",
        "start one pytest per host, or give all of them one registry that already runs",
        section="other-host",
    )
