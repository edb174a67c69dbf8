"""This process's part in the run: the controller owns the run, a worker is told of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pytest_registry import values
from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import RegistryEnded, RegistryError
from pytest_registry.images.image import Image
from pytest_registry.registry import Registry, Surroundings
from pytest_registry.report.requests import Requests
from pytest_registry.report.traffic import LoggedRequest
from pytest_registry.security.credentials import redacted
from pytest_registry.settings import Settings
from pytest_registry.sharing import attach, cleanup, elsewhere, kept, state
from pytest_registry.sharing.identity import known_as
from pytest_registry.sharing.last_words import last_words
from pytest_registry.sharing.limiting import Say, limits_of, secrets_of
from pytest_registry.sharing.once import made as once_made
from pytest_registry.sharing.once import once
from pytest_registry.sharing.owner import Owner
from pytest_registry.sharing.reporting import told_of
from pytest_registry.sharing.run import Run
from pytest_registry.watch import Current, Watch

WORKER_INPUT = "pytest_registry"
"""The name under which xdist's `workerinput` carries the run."""

SHOWN_REQUESTS = 50
"""Requests that a failed test's report lists at most."""

SAMPLE = "sample"
"""The name under which the sample image is made once."""


class Member:
    """One process of the run, made when it first has to do with the registry."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._owner: Owner | None = None
        self._told: Run | None = None
        self._secrets: tuple[str, ...] = ()
        self._registry: Registry | None = None
        self.current = Current(getattr(config, "workerinput", {}).get("workerid", ""))
        """The test that runs now; the first is the one in which this was made."""

    @property
    def run(self) -> Run:
        """The run; the controller begins it now if it has not. Raises StateError."""
        told = self._told_by_owner
        return self._own().run if told is None else self._run_of_worker(json.loads(told))

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
    def begun(self) -> Run | None:
        """The run if this process owns it and it has begun."""
        return self._owner.run if self._owner is not None else None

    def tell(self, workerinput: dict[str, Any]) -> None:
        """Tell a worker of the run, or why there is none (raised where a test asks)."""
        try:
            told = {"run": self._own().run.to_json()}
        except RegistryError as error:
            told = {"error": state.error_to_json(error)}
        workerinput[WORKER_INPUT] = json.dumps(told)

    def registry(self) -> Registry:
        """The run's registry, started if this is the first process to ask."""
        self._registry = self.registry_of(self.run)
        return self._registry

    def registry_of(self, run: Run) -> Registry:
        """A handle for the registry of a run, started if nobody has; raises what that raised.

        Its password is never shown by this process's reports from then on.
        """
        self._secrets += secrets_of(run.settings)
        registry = _registry_of(run, attach.attach(run), lambda: self.current, self._say)
        self._secrets += registry.credentials.secrets + registry.secrets
        return registry

    def begin_test(self) -> None:
        """Have what comes from now on belong to another test."""
        self.current = Current(self.current.worker)

    def once(self, name: str, make: Callable[[], Image]) -> Image:
        """An image that is made once per run."""
        return Image(**once(self.run, name, lambda: dataclasses.asdict(make())))

    def announcement(self) -> str:
        """Which registry serves this process's run and why, in one line; empty if none does."""
        endpoint = self._endpoint()
        if endpoint is None:
            return ""
        return (
            f"registry: {endpoint.detail}, at {endpoint.url} after {endpoint.start_seconds:.2f} s"
            f" ({endpoint.reason})"
        )

    def summary(self) -> list[str]:
        """What the registry did in the run, in a few lines; none if it was not used."""
        endpoint = self._endpoint()
        if endpoint is None or self._owner is None:
            return []
        run = self._owner.run
        sample = once_made(run, SAMPLE)
        lines = [self.announcement()]
        if sample is not None and sample["synthetic"]:
            lines.append(f"the sample image is a synthetic one, not nginx: {sample['synthetic']}")
        lines += told_of(run, endpoint)
        lines += elsewhere.summary(run, endpoint)
        return lines + (kept.how_to_use(run, endpoint) if run.kept.exists() else [])

    def sections(
        self, failure: pytest.ExceptionInfo[BaseException] | None, *, used: bool
    ) -> list[tuple[str, str]]:
        """What a failed test's report says of the registry: its end, if it came.

        Else what reached it in this test, and where it was `used` its last other log lines.
        """
        run = self._told or self.begun
        if run is None or self._registry is None:
            return []
        if failure is not None and failure.errisinstance(RegistryEnded):
            return []
        end = attach.find_end(run, "go on with the tests")
        if end is not None:
            return [("the registry ended", str(end))]
        mine: Sequence[LoggedRequest] = ()
        with contextlib.suppress(RegistryError):
            mine = self._registry.requests
        told = {
            "requests that reached the registry in this test": Requests(mine).lines(SHOWN_REQUESTS),
            "the registry's last log lines": last_words(run, mine) if used else [],
        }
        return [(title, "\n".join(lines)) for title, lines in told.items() if lines]

    def discreet(self, report: pytest.TestReport) -> pytest.TestReport:
        """The report without passwords: `--showlocals` prints what our and docker-py's code holds.

        A report is taken apart as for xdist, and put together again, only where one stands in it.
        """
        texts = [report.longreprtext, *(text for _, text in report.sections)]
        if not any(secret in text for secret in self._secrets for text in texts):
            return report
        hook = self._config.hook
        plain = hook.pytest_report_to_serializable(config=self._config, report=report)
        clean: pytest.TestReport = hook.pytest_report_from_serializable(
            config=self._config, data=redacted(plain, self._secrets)
        )
        return clean

    def _endpoint(self) -> Endpoint | None:
        """The endpoint of the run that this process owns; None if there is none or it failed."""
        if self._owner is None:
            return None
        with contextlib.suppress(RegistryError):
            return state.read_endpoint(self._owner.run)
        return None

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
                raise state.error_from_json(told["error"])
            self._told = Run.from_json(told["run"])
        return self._told


def _registry_of(run: Run, whole: Endpoint, current: Callable[[], Current], say: Say) -> Registry:
    """A handle for the registry of a run; `current` tells of the test that runs now."""
    endpoint, client_config = known_as(run, whole, current().worker)
    limits = (run.settings.pull_limit, run.settings.push_limit)
    registry = Registry(
        endpoint,
        limits_of(run, endpoint, say),
        Surroundings(
            client_config=client_config,
            locks=run.file("references"),
            labels=run.labels,
            upstream=run.settings.upstream,
            find_end=lambda asked: attach.find_end(run, asked),
            note_engine_use=lambda: cleanup.note_references(run, endpoint.daemon_place),
            watch=Watch(whole, current, limits, lambda asked: attach.find_end(run, asked)),
            note_repository=elsewhere.noting(run) if endpoint.prefix else None,
            lacking=lambda: once(run, elsewhere.FEATURES, registry.client.missing_features),
        ),
    )
    return registry
