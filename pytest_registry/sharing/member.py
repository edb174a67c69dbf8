"""This process's part in the run: the controller owns the run, a worker is told of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry import values
from pytest_registry.errors import RegistryError
from pytest_registry.settings import Settings
from pytest_registry.sharing.owner import Owner
from pytest_registry.sharing.run import Run
from pytest_registry.watch import Current

if TYPE_CHECKING:
    from pytest_registry.images.image import Image
    from pytest_registry.registry import Registry

WORKER_INPUT = "pytest_registry"
"""The name under which xdist's `workerinput` carries the run."""


class Member:
    """One process of the run, made when it first has to do with the registry.

    A controller has to do with it as soon as it has workers. So what a registry needs that is used
    is imported only then.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._owner: Owner | None = None
        self._told: Run | None = None
        self.secrets: tuple[str, ...] = ()
        """What no report of this process may show."""
        self.registries: dict[str, tuple[Run, Registry]] = {}
        """By run id: the run's own, if this process uses it, and further ones until they end."""
        self.current = Current(getattr(config, "workerinput", {}).get("workerid", ""))
        """The test that runs now; the first is the one in which this was made."""

    @property
    def run(self) -> Run:
        """The run; the controller begins it now if it has not. Raises StateError."""
        told = self._told_by_owner
        return self._own().run if told is None else self._run_of_worker(json.loads(told))

    def begin(self) -> None:
        """Begin the run if it is this process's to begin; what fails does so again for who asks."""
        if self._told_by_owner is None:
            with contextlib.suppress(RegistryError):
                self._own()

    @property
    def settings(self) -> Settings:
        """The run's settings, whether or not it has begun."""
        if self._told_by_owner is not None:
            return self.run.settings
        return Settings.of(values.resolve(self._config))

    @property
    def _told_by_owner(self) -> str | None:
        told: str | None = getattr(self._config, "workerinput", {}).get(WORKER_INPUT)
        return told

    def _own(self) -> Owner:
        """Own the run from now on, if this process does not yet."""
        if self._owner is None:
            self._owner = Owner(self.settings)
        return self._owner

    @property
    def owned(self) -> Run | None:
        """The run if this process owns it and it has begun."""
        return self._owner.run if self._owner is not None else None

    def tell(self, workerinput: dict[str, Any]) -> None:
        """Tell a worker of the run, or why there is none (raised where a test asks)."""
        try:
            told = {"run": self._own().run.to_json()}
        except RegistryError as error:
            from pytest_registry.sharing import state

            told = {"error": state.error_to_json(error)}
        workerinput[WORKER_INPUT] = json.dumps(told)

    def registry(self) -> Registry:
        """The run's registry, started if this is the first process to ask."""
        return self.registry_of(self.run)

    def registry_of(self, run: Run) -> Registry:
        """A handle for the registry of a run, started if nobody has; raises what that raised.

        Its password, and those of its further accounts, are never shown by this process's reports
        from then on.
        """
        from pytest_registry.sharing.handle import handle_of
        from pytest_registry.sharing.limiting import secrets_of

        self._hide(secrets_of(run.settings))
        registry = handle_of(run, lambda: self.current, self._say, self._hide)
        self._hide(registry.credentials.secrets + registry.secrets)
        self.registries[run.id] = (run, registry)
        return registry

    def _hide(self, secrets: tuple[str, ...]) -> None:
        self.secrets = tuple(dict.fromkeys(self.secrets + secrets))

    def begin_test(self) -> None:
        """Have what comes from now on belong to another test."""
        self.current = Current(self.current.worker)
        for _, registry in self.registries.values():
            registry.rest()

    def once(self, registry: Registry, name: str, make: Callable[[], Image]) -> Image:
        """An image that is made once in a registry, by whichever process of its run comes first."""
        from pytest_registry.images.image import Image
        from pytest_registry.sharing.once import once

        run = self._run_of(registry)
        if run is None:  # nobody else is known to have it
            return make()
        return Image(**once(run, name, lambda: dataclasses.asdict(make())))

    def settings_of(self, registry: Registry) -> Settings:
        """What holds for a registry: a further one has settings of its own."""
        run = self._run_of(registry)
        return self.settings if run is None else run.settings

    def note_stand_in(self, why: str) -> None:
        """Have the run say that a synthetic image stands for the sample image.

        It says so with its registry: where only further ones are used, the image alone tells.
        """
        from pytest_registry.sharing.once import STAND_IN, once

        if self.run.is_there:
            once(self.run, STAND_IN, lambda: {"why": why})

    def _run_of(self, registry: Registry) -> Run | None:
        """The run whose registry this is, by whatever account; None where it is none of ours.

        The fixture `registry` may be overridden: then the run's own need never have begun.
        """
        place = _place(registry)
        return next((run for run, each in self.registries.values() if _place(each) == place), None)

    def finish(self) -> None:
        """End the run, if this process owns one, and wait for its end."""
        if self._owner is not None:
            self._owner.finish()

    def _say(self, line: str) -> None:
        """With -v, tell whoever watches the run what it waits for, past pytest's capture."""
        if self._config.get_verbosity() > 0:
            capture = self._config.pluginmanager.get_plugin("capturemanager")
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                print(f"\npytest-registry: {line}", file=sys.stderr, flush=True)

    def _run_of_worker(self, told: dict[str, Any]) -> Run:
        if self._told is None:
            if "error" in told:
                from pytest_registry.sharing import state

                raise state.error_from_json(told["error"])
            self._told = Run.from_json(told["run"])
        return self._told


def _place(registry: Registry) -> tuple[str, str]:
    """Where it keeps what is pushed: in a registry that others use too, below the run's prefix."""
    return registry.host, registry.endpoint.prefix
