"""The handle by which one process of a run uses its registry."""

from __future__ import annotations

from collections.abc import Callable

from pytest_registry.registry import Hide, Registry, Surroundings
from pytest_registry.sharing import attach, cleanup, elsewhere
from pytest_registry.sharing.identity import known_as
from pytest_registry.sharing.limiting import Say, limits_of
from pytest_registry.sharing.once import once
from pytest_registry.sharing.run import Run
from pytest_registry.watch import Current, Watch


def handle_of(run: Run, current: Callable[[], Current], say: Say, hide: Hide) -> Registry:
    """A handle for the run's registry, started if nobody has; raises what that raised.

    `current` tells of the test that runs now; `say` is told what is waited for, `hide`
    what no report may show of accounts that are made later.
    """
    whole = attach.attach(run, say)
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
            hide=hide,
            note_repository=elsewhere.noting(run) if endpoint.prefix else None,
            lacking=lambda: once(run, elsewhere.FEATURES, registry.client.missing_features),
        ),
    )
    return registry
