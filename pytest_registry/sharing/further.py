"""Registries beside the run's own: each a run of its own that ends with whoever asked for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_registry.errors import OptionError
from pytest_registry.sharing.owner import Owner

if TYPE_CHECKING:
    from pytest_registry.registry import Registry
    from pytest_registry.sharing.member import Member

Asking = pytest.FixtureRequest | pytest.Item | None
"""The fixture that is being set up, else the test that runs, else nobody that pytest knows of."""


class FurtherRegistries:
    """What the fixture `registry_factory` gives out; all that is left of it ends with `close`."""

    def __init__(self, member: Member, asking: Callable[[], Asking]) -> None:
        self._member = member
        self._asking = asking
        self._ends = ExitStack()

    def start(self, *, scope: Literal["session"] | None = None, **changes: Any) -> Registry:
        """Start one with these options changed; raises OptionError, and what its start raises.

        With the scope "session" it stays whoever asks, as a cache for several tests needs it.
        """
        if scope not in (None, "session"):
            raise OptionError(
                "start a further registry",
                f"{scope!r} was given as its scope",
                'leave it out, or give scope="session"; a fixture\'s own scope decides otherwise',
            )
        # One that the run keeps, or uses again, is its own: those beside it are for tests alone,
        # and nobody would be told of one that stays.
        changes = {"keep": False, "reuse": False, **changes}
        settings = self._member.settings.changed("registry_factory(...)", **changes)
        for name in ("keep", "reuse"):
            if getattr(settings, name):
                raise _for_the_run_only(name, changes[name])
        with ExitStack() as begun:
            owner = Owner(settings)
            begun.callback(owner.finish)
            registry = self._member.registry_of(owner.run)
            begun.callback(registry.close)
            begun.callback(self._member.registries.pop, owner.run.id)
            end = begun.pop_all().close
        self._ends.callback(end)  # ending twice is no error
        if scope != "session":
            self._end_with(self._asking(), end)
        return registry

    def close(self) -> None:
        """End those that have not ended yet, the last one first."""
        self._ends.close()

    def _end_with(self, asking: Asking, end: Callable[[], None]) -> None:
        # pytest refuses (by an assertion) for a test that is over: then it ends with the session.
        with contextlib.suppress(AssertionError):
            if asking is not None:
                asking.addfinalizer(end)


def _for_the_run_only(name: str, value: Any) -> OptionError:
    return OptionError(
        "start a further registry",
        f"{name}={value!r} was given: one that is beside the run's own ends with who asked for it",
        f"leave it out; --registry-{name} keeps or takes the run's own registry",
    )
