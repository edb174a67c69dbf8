"""Registries that stay after their run (`--registry-keep`), and runs that use them again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace

from pytest_registry.engines.endpoint import Birth, Endpoint
from pytest_registry.errors import RegistryError
from pytest_registry.security.files import write_secret
from pytest_registry.settings import Settings
from pytest_registry.sharing import state
from pytest_registry.sharing.liveness import Watch, is_held, wait_until_released
from pytest_registry.sharing.run import Run, remove_if_empty, runs_directory, version

REMOVAL = 20.0
"""Seconds in which a kept registry's keeper cleans up."""


class KeptEngine:
    """A registry that another run's keeper keeps."""

    uses_container_engine = False
    has_gate = True  # or not, as the run that kept it wanted: its settings are this run's too

    def __init__(self, run: Run, endpoint: Endpoint) -> None:
        self._run = run
        self._endpoint = endpoint

    def start(self, birth: Birth) -> Endpoint:  # noqa: ARG002 - it was born before
        """Attach to it."""
        return replace(self._endpoint, reason=f"kept by the run {self._run.id}")

    def wait(self) -> str:
        """Block until it is removed."""
        wait_until_released(self._run.keeper)
        return "the kept registry was removed"

    def stop(self) -> None:
        """Leave it to its keeper."""


def mark(run: Run) -> None:
    """Let the run's registry stay after the run; called by its keeper."""
    write_secret(run.kept, json.dumps({"keeper": os.getpid(), "version": version()}))


def kept_runs(settings: Settings) -> Iterator[Run]:
    """The runs of this user whose registries were kept and still serve."""
    runs = runs_directory(settings)
    for directory in sorted(runs.iterdir()):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            run = Run.read(directory)
            if run.kept.exists() and is_held(run.keeper):
                yield run
    remove_if_empty(runs, settings)  # whoever only looks leaves no directory behind


def find(settings: Settings) -> tuple[KeptEngine | None, str]:
    """A kept registry of these settings and this version, or why none can be used again."""
    differences = []
    for run in kept_runs(settings):
        difference = _difference(run, settings)
        if difference:
            differences.append(f"{run.id} differs in {difference}")
            continue
        with contextlib.suppress(RegistryError):
            endpoint = state.read_endpoint(run)
            if endpoint is not None:
                return KeptEngine(run, endpoint), ""
    return None, "; ".join(differences) or "none was kept"


def remove(run: Run) -> bool:
    """Ask a kept registry's keeper to end it and wait; whether it did."""
    with Watch(run.keeper) as keeper:
        pid = json.loads(run.kept.read_text("utf-8"))["keeper"]
        if keeper.is_held():  # so the pid is the keeper's still
            os.kill(pid, signal.SIGTERM)
        return keeper.released_within(REMOVAL)


def how_to_use(run: Run, endpoint: Endpoint) -> list[str]:
    """How to reach and how to remove a kept registry, in lines without its password."""
    return [
        f"the registry was kept: {endpoint.url} ({endpoint.detail}), logged in with"
        f" DOCKER_CONFIG={run.client_config}",
        "use it again with --registry-reuse; remove it with"
        f" python -m pytest_registry remove {run.id}",
    ]


def _difference(run: Run, settings: Settings) -> str:
    if json.loads(run.kept.read_text("utf-8"))["version"] != version():
        return "the plugin's version"
    return ", ".join(settings.differences(run.settings))
