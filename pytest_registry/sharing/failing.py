"""What a failed test's report says of the registry."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_registry.errors import RegistryEnded, RegistryError
from pytest_registry.report.requests import Requests
from pytest_registry.report.traffic import LoggedRequest
from pytest_registry.sharing import attach
from pytest_registry.sharing.last_words import last_words
from pytest_registry.sharing.run import Run

if TYPE_CHECKING:
    import pytest

    from pytest_registry.registry import Registry

SHOWN_REQUESTS = 50
"""Requests that are listed at most."""


def sections(
    run: Run,
    registry: Registry,
    failure: pytest.ExceptionInfo[BaseException] | None,
    *,
    used: bool,
) -> list[tuple[str, str]]:
    """The registry's end, if it came and the failure does not tell it.

    Else what reached it in this test, and where it was `used` its last other log lines.
    """
    if failure is not None and failure.errisinstance(RegistryEnded):
        return []
    end = attach.find_end(run, "go on with the tests")
    if end is not None:
        return [("the registry ended", str(end))]
    mine: Sequence[LoggedRequest] = ()
    with contextlib.suppress(RegistryError):
        mine = registry.requests
    told = {
        "requests that reached the registry in this test": Requests(mine).lines(SHOWN_REQUESTS),
        "the registry's last log lines": last_words(run, mine) if used else [],
    }
    return [(title, "\n".join(lines)) for title, lines in told.items() if lines]
