"""Registries that stay after their run (`--registry-keep`), and runs that use them again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from pytest_registry.engines.endpoint import Birth, Endpoint
from pytest_registry.errors import RegistryError
from pytest_registry.security.files import write_secret
from pytest_registry.settings import Settings
from pytest_registry.sharing import cleanup, state
from pytest_registry.sharing.liveness import Watch, is_held, wait_until_released
from pytest_registry.sharing.run import Run, directories_of_runs, version

REMOVAL = 20.0
"""Seconds in which a kept registry's keeper cleans up."""


class KeptEngine:
    """A registry that another run's keeper keeps."""

    uses_container_engine = False
    has_gate = True  # or not, as the run that kept it wanted: its settings are this run's too

    def __init__(self, run: Run, endpoint: Endpoint) -> None:
        self.run = run
        self._endpoint = endpoint

    def start(self, birth: Birth) -> Endpoint:  # noqa: ARG002 - it was born before
        """Attach to it."""
        return replace(self._endpoint, reason=f"kept by the run {self.run.id}")

    def wait(self) -> str:
        """Block until it is removed."""
        wait_until_released(self.run.keeper)
        return "the kept registry was removed"

    def stop(self) -> None:
        """Leave it to its keeper."""


def mark(run: Run) -> None:
    """Let the run's registry stay after the run; called by its keeper."""
    write_secret(run.kept, json.dumps({"keeper": os.getpid(), "version": version()}))


def kept_runs(runs: Path) -> list[Run]:
    """This user's runs there whose registries were kept and still serve, the newest first."""
    found = []
    for directory in directories_of_runs(runs):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            run = Run.read(directory)
            if is_held(run.keeper):
                found.append((run.kept.stat().st_mtime, run))
    return [run for _, run in sorted(found, key=itemgetter(0), reverse=True)]


def find(run: Run) -> tuple[KeptEngine | None, str]:
    """A kept registry of a run's settings and this version, or why none can be used again."""
    differences = []
    for each in kept_runs(run.directory.parent):
        difference = _difference(each, run.settings)
        if difference:
            differences.append(f"{each.id} differs in {difference}")
            continue
        with contextlib.suppress(RegistryError):
            endpoint = state.read_endpoint(each)
            if endpoint is not None:
                return KeptEngine(each, endpoint), ""
    return None, "; ".join(differences) or "none was kept"


def remove(run: Run) -> bool:
    """Ask a kept registry's keeper to end it and wait; whether it did."""
    with Watch(run.keeper) as keeper:
        pid = _kept(run).get("keeper")
        if pid is None:
            cleanup.clean(run)  # whose keeper then finds that its directory is gone
        elif is_held(run.serving):  # so the pid is the keeper's still
            with contextlib.suppress(ProcessLookupError):  # until this moment
                os.kill(pid, signal.SIGTERM)
        gone = keeper.released_within(REMOVAL)
    if gone and run.is_there:  # where a signal ends a process at once (Windows)
        cleanup.clean(run)
    return gone


def how_to_use(run: Run, endpoint: Endpoint) -> list[str]:
    """How to reach and how to remove a kept registry, in lines without its password."""
    return [
        f"the registry was kept: {endpoint.url} ({endpoint.detail}), logged in with"
        f" DOCKER_CONFIG={run.client_config}",
        "use it again with --registry-reuse; remove it with"
        f" python -m pytest_registry remove {run.id}",
    ]


def _difference(run: Run, settings: Settings) -> str:
    if _kept(run).get("version") != version():
        return "the plugin's version"
    return ", ".join(settings.differences(run.settings))


def _kept(run: Run) -> dict[str, Any]:
    """What its keeper wrote down; nothing where that is gone, or damaged."""
    with contextlib.suppress(OSError, ValueError):
        written = json.loads(run.kept.read_text("utf-8"))
        return written if isinstance(written, dict) else {}
    return {}
