"""Which limit applies to an operation: policy only, no mechanism."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pytest_registry.errors import OptionError
from pytest_registry.oci.reference import Reference

Kind = Literal["pull", "push"]

KINDS: tuple[Kind, ...] = ("pull", "push")
"""Also the order in which one operation that needs both (a copy) takes its slots: pull first.

Everybody keeps to one order, so that no two operations ever wait for each other.
"""


class Operation(Protocol):
    """One pull or push while it runs: the value of `with limits.pull(...) as operation`."""

    @property
    def waited(self) -> float:
        """Seconds that were waited for the slot; 0.0 where none was needed."""

    def transferred(self, count: int) -> None:
        """Add `count` bytes to what the operation moved; may be called as often as one likes."""


class OperationLimits(Protocol):
    """What clients need to know of limits: how to take a slot around one operation.

    A call inside another one of the same kind takes no second slot: it is a part of that operation.
    """

    def pull(
        self, repository: str = "", *, reference: str = ""
    ) -> AbstractContextManager[Operation]:
        """Hold a pull slot while the context lasts; entering raises SlotTimeout."""

    def push(
        self, repository: str = "", *, reference: str = ""
    ) -> AbstractContextManager[Operation]:
        """Hold a push slot while the context lasts; entering raises SlotTimeout."""


def slot_for(
    limits: OperationLimits, kind: Kind, image: str, host: str
) -> AbstractContextManager[object]:
    """A slot for an operation on an image at `host`; other registries have no limit here."""
    if not image.startswith(f"{host}/"):
        return nullcontext()
    named = Reference.parse(image)
    take = limits.pull if kind == "pull" else limits.push
    return take(named.repository, reference=named.target)


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """How many operations of each kind may run at once; None is unlimited.

    `timeout` is the seconds that one waits for a slot at most. The defaults are what a hosted
    registry (Azure's) documents.
    """

    pull: int | None = 10
    push: int | None = 5
    timeout: float = 300.0

    def __post_init__(self) -> None:
        for kind in KINDS:
            _check_limit(f"the {kind} limit", self.of(kind))
        if self.timeout < 0:
            raise _unacceptable("the slots' timeout", self.timeout, "0 or more seconds")

    def of(self, kind: Kind) -> int | None:
        """The limit of one kind of operation."""
        return self.pull if kind == "pull" else self.push

    def narrowed(self, pull: int | None = None, push: int | None = None) -> LimitPolicy:
        """The same policy with smaller limits; what is None or larger stays as it is.

        Raises OptionError for what is no limit.
        """
        LimitPolicy(pull, push)  # which checks them: what is larger would not be seen below
        return replace(self, pull=_smaller(self.pull, pull), push=_smaller(self.push, push))


def _smaller(limit: int | None, wanted: int | None) -> int | None:
    given = [count for count in (limit, wanted) if count is not None]
    return min(given) if given else None


def _check_limit(what: str, given: object) -> None:
    """Raise OptionError for what is no limit, also where no type checker sees it: in a mark."""
    accepted = "1 or more, or None for unlimited"
    if given is None:
        return
    if not isinstance(given, int) or isinstance(given, bool):
        raise _unacceptable(what, given, accepted, "it is no whole number")
    if given < 1:
        raise _unacceptable(what, given, accepted)


def _unacceptable(
    what: str, given: object, accepted: str, why: str = "it is out of range"
) -> OptionError:
    return OptionError(f"use {given!r} as {what}", why, f"give {accepted}")


class _Unwatched:
    waited = 0.0

    def transferred(self, count: int) -> None:
        """Nobody keeps the figures."""


class Unlimited:
    """Operation limits that limit nothing and record nothing: for a client that is used alone."""

    @contextmanager
    def pull(self, repository: str = "", *, reference: str = "") -> Iterator[Operation]:  # noqa: ARG002
        """Run at once."""
        yield _Unwatched()

    push = pull
