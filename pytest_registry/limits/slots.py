"""What a mechanism of slots must offer, so that policy needs to know nothing of files or hosts.

A mechanism never waits: it is asked again and again, and says what to wait for in between. Time
limits, reports, interrupts and cancellation are thereby written once (`waiting.py`), for threads
and asyncio alike, whatever the mechanism is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from pytest_registry.limits.policy import Kind

_SEPARATOR = "\x1f"
"""ASCII's unit separator."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a slot, or wants one. `since` is in seconds of the epoch."""

    worker: str
    test: str
    operation: str
    repository: str
    since: float
    pid: int

    def since_now(self) -> Holder:
        """The same, holding from now on."""
        return replace(self, since=time.time())

    def to_line(self, since: float) -> bytes:
        """One line for a slot's file. Not JSON: making that took 5 us of a slot's 20.

        Whoever has a line feed or a unit separator in his name shows as unknown.
        """
        parts = (
            self.worker,
            self.test,
            self.operation,
            self.repository,
            repr(since),
            str(self.pid),
            "\n",
        )
        return _SEPARATOR.join(parts).encode(errors="replace")

    @classmethod
    def from_line(cls, line: bytes) -> Holder:
        """Read what `to_line` wrote; UNKNOWN_HOLDER for anything else, as a line half written."""
        first = line.partition(b"\n")[0].decode(errors="replace")
        try:
            worker, test, operation, repository, since, pid, _ = first.split(_SEPARATOR)
            return cls(worker, test, operation, repository, float(since), int(pid))
        except ValueError:
            return UNKNOWN_HOLDER

    def describe(self, now: float) -> str:
        """One phrase for people; `now` is in seconds of the epoch."""
        what = f"{self.operation} of {self.repository}" if self.repository else self.operation
        where = self.test or "no test"
        return (
            f"{self.worker} (pid {self.pid}), {where}: {what}, for {max(0, now - self.since):.1f} s"
        )


UNKNOWN_HOLDER = Holder("unknown", "", "operation", "", 0.0, 0)


class Event(NamedTuple):
    """What to wait for: one of the descriptors hangs up, or so many seconds are over."""

    descriptors: Sequence[int]
    seconds: float


class Claim(Protocol):
    """One wish for one slot, from the asking to the giving back. Used by one thread at a time."""

    def attempt(self) -> bool:
        """Take a slot if it is this claim's turn; never waits. True once it is held."""

    def event(self) -> Event:
        """What is worth waiting for before the next attempt."""

    def release(self) -> None:
        """Give back whatever is held, the slot or the place in the queue; may be called twice.

        In a child that was forked meanwhile it does nothing: the parent holds.
        """

    def holders(self) -> Sequence[Holder]:
        """Who holds the slots that are claimed."""

    def trouble(self) -> str:
        """Why nobody is let in, or why a slot that was held is not this claim's any more.

        Empty as long as the mechanism works, which files and locks always do.
        """


class Slots(Protocol):
    """The slots of one registry, shared by all who must keep its limits together."""

    @property
    def scope(self) -> str:
        """Names the registry's slots: operations of one scope share them."""

    def claim(self, kind: Kind, count: int, holder: Holder) -> Claim:
        """Ask for one of `count` slots; raises StateError where the mechanism cannot work."""

    def holders(self, kind: Kind, count: int) -> Sequence[Holder]:
        """Who holds the `count` slots of a kind now."""
