"""What a thread or an asyncio task is inside of: the operations that it runs, and for whom."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass

from pytest_registry.errors import RegistryError, SlotLost
from pytest_registry.limits.lane import Lane
from pytest_registry.limits.policy import KINDS, Kind
from pytest_registry.limits.slots import Claim
from pytest_registry.report.records import MAIN


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf an operation runs: an xdist worker's id and a test's node id."""

    worker: str
    test: str


def current_asker() -> Asker:
    """What pytest and xdist say in the environment; `main` where there is no worker."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]  # ends in " (call)"
    return Asker(os.environ.get("PYTEST_XDIST_WORKER", MAIN), test)


class RunningOperation:
    """One pull or push while it runs (the protocol `policy.Operation`).

    A call inside it of the same kind is a part of it (`whole` is set) and has no slot of its own.
    Parts that asyncio tasks or threads run at once share the slot one after the other, in `parts`:
    so there are never more than the limit, and nobody waits for a slot that he holds himself.
    """

    def __init__(self, kind: Kind, scope: str, limited: bool, parts: Lane) -> None:
        self.kind = kind
        self.scope = scope
        self.limited = limited
        self.parts = parts
        self.waited = 0.0
        self.bytes = 0
        self.active = False
        self.whole: RunningOperation | None = None
        self.claims: tuple[Claim, ...] = ()

    def transferred(self, count: int) -> None:
        """Add `count` bytes to what the operation moved; raises SlotLost."""
        self.check()
        self.bytes += count
        if self.whole is not None:
            self.whole.transferred(count)

    def check(self) -> None:
        """See that the operation still has its right to run; raises SlotLost."""
        for claim in self.claims:
            if trouble := claim.trouble():
                raise SlotLost(
                    f"keep the {self.kind} slot to the end",
                    trouble,
                    "run it again; where Redis is often away for that long, give a longer"
                    " --registry-limits-lease",
                )

    @property
    def is_ours(self) -> bool:
        """Whether it runs, and in this process: a forked child has none of its parent's slots."""
        return self.active and self.parts.is_ours

    @property
    def rank(self) -> tuple[int, str]:
        """Its place in the one order in which slots are taken."""
        return KINDS.index(self.kind), self.scope


running: ContextVar[tuple[RunningOperation, ...]] = ContextVar("running_operations", default=())
"""What this thread or task is inside of, the outermost first. Ended ones are passed over."""


def put_inside(operation: RunningOperation) -> None:
    """Make an operation a part of the one of its kind that it is inside of, if there is one.

    Raises RegistryError if slots are taken in another order than everybody else's.
    """
    around = [outer for outer in running.get() if outer.is_ours]
    for outer in around:
        if outer.rank == operation.rank:
            operation.whole = outer
    for outer in around if operation.whole is None else ():
        if outer.limited and operation.limited and outer.rank > operation.rank:
            raise RegistryError(
                f"take a {operation.kind} slot inside of a {outer.kind}",
                "slots are taken in one order everywhere (pull before push, then by registry);"
                " two operations that hold what the other one wants would wait for ever",
                "take both at the beginning: with limits.pull(...), limits.push(...):",
                section="slot-order",
            )
