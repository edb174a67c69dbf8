"""What a failed test's report says of the registry."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_registry.errors import RegistryEnded, RegistryError
from pytest_registry.report.requests import Requests
from pytest_registry.report.traffic import LoggedRequest
from pytest_registry.sharing import attach
from pytest_registry.sharing.last_words import last_words, wait_until_quiet
from pytest_registry.sharing.run import Run

if TYPE_CHECKING:
    import pytest

    from pytest_registry.registry import Registry

SHOWN_REQUESTS = 50
"""Requests that are listed at most."""


def sections(
    registries: Collection[tuple[Run, Registry]],
    failure: pytest.ExceptionInfo[BaseException] | None,
    *,
    asked: bool,
) -> list[tuple[str, str]]:
    """Each registry's end, if it came and the failure does not tell it.

    Else what reached it in this test, and its last other log lines where something did, or where
    the test `asked` for a registry, which may be one whose requests nobody notes.
    """
    if failure is not None and failure.errisinstance(RegistryEnded):
        return []
    told = []
    for run, registry in registries:
        name = "the registry" if len(registries) == 1 else f"the registry {registry.host}"
        told += [(title, "\n".join(lines)) for title, lines in _told(run, registry, name, asked)]
    return [(title, text) for title, text in told if text]


def _told(
    run: Run, registry: Registry, name: str, asked: bool
) -> Iterator[tuple[str, Sequence[str]]]:
    end = attach.find_end(run, "go on with the tests")
    if end is not None:
        yield f"{name} ended", [str(end)]
        return
    mine: Sequence[LoggedRequest] = ()
    with contextlib.suppress(RegistryError):
        mine = registry.requests
    yield f"requests that reached {name} in this test", Requests(mine).lines(SHOWN_REQUESTS)
    if mine or asked:
        if registry.engine == "container":
            wait_until_quiet(run.registry_log)
        yield f"{name}'s last log lines", last_words(run, mine)
