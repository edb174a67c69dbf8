"""`registry.limits`: what users and clients hold to run an operation within the limits."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, overload

from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.policy import Kind, LimitPolicy
from pytest_registry.limits.running import Asker, current_asker
from pytest_registry.limits.slots import Holder, Slots
from pytest_registry.limits.turn import Function, Setting, Turn


class Limits:
    """The limits of one registry.

    An operation that needs both slots takes the pull slot first: `with limits.pull(),
    limits.push():`. The other order raises RegistryError, because two such operations could wait
    for each other for ever.

    `who` tells on whose behalf an operation runs, `log` is the file to which each operation's
    record is appended, and `report` is told a line when one waits for long.
    """

    def __init__(
        self,
        slots: Slots,
        policy: LimitPolicy | None = None,
        *,
        who: Callable[[], Asker] = current_asker,
        log: Path | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        policy = LimitPolicy() if policy is None else policy
        self._setting = Setting(slots, policy, who, log, report, Descriptors())
        self.policy = policy
        """The limits that apply, with all narrowing."""

    @overload
    def pull(self, repository: Function, /) -> Function: ...
    @overload
    def pull(self, repository: str = "", *, reference: str = "") -> Turn: ...
    def pull(self, repository: Any = "", *, reference: str = "") -> Any:
        """Hold a pull slot: `with` and `async with` give the operation; also a decorator.

        `repository`, and `reference`, a tag or digest in it, are for messages and reports.
        Entering raises SlotTimeout after `policy.timeout` seconds. In a running event loop use
        `async with`: a plain `with` would block the loop while it waits.
        """
        return self._turn("pull", repository, reference)

    @overload
    def push(self, repository: Function, /) -> Function: ...
    @overload
    def push(self, repository: str = "", *, reference: str = "") -> Turn: ...
    def push(self, repository: Any = "", *, reference: str = "") -> Any:
        """Hold a push slot; otherwise as `pull`."""
        return self._turn("push", repository, reference)

    def run_pull(
        self, command: Sequence[str], *, repository: str = "", **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Run a command that pulls, in a slot; `options` are those of `subprocess.run`.

        `check` is true unless given: a failing command raises CalledProcessError.
        """
        with self.pull(repository):
            return subprocess.run(command, check=options.pop("check", True), **options)

    def run_push(
        self, command: Sequence[str], *, repository: str = "", **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Run a command that pushes, in a slot; otherwise as `run_pull`."""
        with self.push(repository):
            return subprocess.run(command, check=options.pop("check", True), **options)

    def narrowed(self, pull: int | None = None, push: int | None = None) -> Limits:
        """Limits that let at most so many operations at once through from this one object.

        They stay within the limits of the whole as well: `narrowed(pull=2)` of a shared limit of
        10 is at most 2 of these 10, for all threads and tasks that use the new object together.
        None, or more than the limit, narrows nothing; raises OptionError below 1.
        """
        new = copy(self)
        new.policy = self.policy.narrowed(pull, push)
        new._setting = self._setting.narrowed(LimitPolicy(pull, push))
        return new

    def holders(self, kind: Kind) -> Sequence[Holder]:
        """Who holds slots of a kind now, in this and other processes; empty without a limit."""
        count = self._setting.policy.of(kind)
        return () if count is None else self._setting.slots.holders(kind, count)

    def _turn(self, kind: Kind, repository: Any, reference: str) -> Any:
        if callable(repository):
            return Turn(self._setting, kind)(repository)
        return Turn(self._setting, kind, repository, reference)
