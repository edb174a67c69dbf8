"""Slots inside one process: what narrows a limit for a test, and what shares one operation's slot.

Waiters are served in the order of their first attempt. The next one is woken through a pipe of its
own, so that threads and asyncio tasks wait here as they wait for a file slot.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Sequence

from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.slots import Event, Holder

_LATEST = 0.25
"""Seconds until a waiter looks again though nobody woke it (as if a wake-up could be lost)."""
_POLLED = 0.01
"""Seconds between two looks where pipes cannot be waited for (Windows)."""
_PIPES = hasattr(select, "poll")


class Lane:
    """At most `count` claims at once hold a slot of this lane, all of them in one process.

    Lanes of one owner share its `descriptors`, whose lock guards them.
    """

    def __init__(self, count: int, descriptors: Descriptors) -> None:
        self.count = count
        self.descriptors = descriptors
        self.generation = descriptors.generation
        self.held: list[LaneClaim] = []
        self.queue: deque[LaneClaim] = deque()

    def claim(self, holder: Holder) -> LaneClaim:
        """Ask for a slot."""
        with self.descriptors.lock:
            if not self.is_ours:  # forked: the claims are the parent's
                self.generation = self.descriptors.generation
                self.held.clear()
                self.queue.clear()
        return LaneClaim(self, holder)

    @property
    def is_ours(self) -> bool:
        """Whether this process made it, and not the one that it was forked from."""
        return self.generation == self.descriptors.generation

    def next_in_turn(self) -> list[LaneClaim]:
        """The waiters that would get a slot now; to be called with the lock held."""
        free = self.count - len(self.held)
        return list(self.queue)[: max(0, free)]


class LaneClaim:
    """One wish for a slot of a lane (the protocol `slots.Claim`)."""

    def __init__(self, lane: Lane, holder: Holder) -> None:
        self._lane = lane
        self._holder = holder
        self._generation = lane.generation
        self._reader: int | None = None
        self._writer: int | None = None

    def attempt(self) -> bool:
        """Take a slot if fewer wait before this claim than are free."""
        lane = self._lane
        with lane.descriptors.lock:
            if self not in lane.queue:
                lane.queue.append(self)
            if self in lane.next_in_turn():
                self._holder = self._holder.since_now()
                lane.held.append(self)
                lane.queue.remove(self)
                self._close()
                return True
            if _PIPES and self._reader is None:
                self._reader, self._writer = lane.descriptors.pipe(self)
            return False

    def event(self) -> Event:
        """The hang-up by which `release` of another claim wakes this one."""
        return Event((), _POLLED) if self._reader is None else Event([self._reader], _LATEST)

    def release(self) -> None:
        """Leave the queue and give back the slot; nothing in a child that was forked since."""
        lane = self._lane
        with lane.descriptors.lock:
            if self._generation != lane.descriptors.generation:
                return
            self._close()
            if self in lane.held:
                lane.held.remove(self)
            if self in lane.queue:
                lane.queue.remove(self)
            for claim in lane.next_in_turn():
                claim.wake()

    def trouble(self) -> str:
        """Empty: a lock is held until it is given back."""
        return ""

    def holders(self) -> Sequence[Holder]:
        """Who holds the lane's slots now."""
        with self._lane.descriptors.lock:
            return [claim._holder for claim in self._lane.held]

    def wake(self) -> None:
        """Let the one who waits for this claim look again."""
        if self._writer is not None:
            self._lane.descriptors.close(self, self._writer)
            self._writer = None

    def _close(self) -> None:
        self._lane.descriptors.close_all(self)
        self._reader = self._writer = None
