"""What the keeper tells the run's processes: an endpoint or an error, and the registry's end."""

from __future__ import annotations

import json
from typing import Any

from pytest_registry import errors
from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.engines.readiness import tail
from pytest_registry.errors import RegistryEnded, RegistryError, StartError
from pytest_registry.security.files import write_secret
from pytest_registry.sharing.last_words import last_words
from pytest_registry.sharing.run import Run


def write_endpoint(run: Run, endpoint: Endpoint) -> None:
    """Tell that the registry is ready; raises StateError."""
    write_secret(run.state, json.dumps({"endpoint": endpoint.to_json()}))


def write_error(run: Run, error: RegistryError) -> None:
    """Tell that there is no registry, so that nobody else tries in vain; raises StateError."""
    write_secret(run.state, json.dumps({"error": error_to_json(error)}))


def read_endpoint(run: Run) -> Endpoint | None:
    """The run's endpoint, None as long as nobody started it; raises what the start raised."""
    try:
        state = json.loads(run.state.read_text("utf-8"))
    except FileNotFoundError:
        return None
    if "error" in state:
        raise error_from_json(state["error"])
    return Endpoint.from_json(state["endpoint"])


def find_endpoint(run: Run) -> Endpoint | None:
    """The run's endpoint; None where its start failed or never was, or nothing can be read."""
    try:
        return read_endpoint(run)
    except (RegistryError, OSError, ValueError, KeyError, TypeError):
        return None


def not_told(run: Run, how: str = "ended") -> StartError:
    """The error for a keeper that ended before it told an endpoint or an error."""
    return StartError(
        "start the run's registry",
        f"its keeper process {how} before the registry was ready",
        "run the tests again; a traceback below is a fault of pytest-registry",
        log=tail(run.keeper_log) or last_words(run),
    )


def write_end(run: Run, how: str, log: list[str]) -> None:
    """Tell that the registry ended before the run did; the first to tell is believed.

    Raises StateError.
    """
    if not run.ended.exists():
        write_secret(run.ended, json.dumps({"how": how, "log": log}))


def read_end(run: Run, asked: str) -> RegistryEnded | None:
    """The error for an operation that failed because the registry ended; None if it did not."""
    try:
        told = json.loads(run.ended.read_text("utf-8"))
    except FileNotFoundError:
        return None
    return ended(asked, told["how"], told["log"])


def ended(asked: str, how: str, log: list[str]) -> RegistryEnded:
    """The error for an operation that failed because the registry ended."""
    return RegistryEnded(
        asked,
        f"the run's registry ended: {how}",
        "run the tests again; if it ends again, its last log lines say why",
        log=log,
    )


def error_to_json(error: RegistryError) -> dict[str, Any]:
    """An error of ours as plain data."""
    return {"kind": type(error).__name__, "args": list(error.args), "state": error.__dict__}


def error_from_json(value: dict[str, Any]) -> RegistryError:
    """Make the error again that `error_to_json` took apart."""
    kind = getattr(errors, value["kind"])
    return errors.rebuilt(kind, tuple(value["args"]), value["state"])
