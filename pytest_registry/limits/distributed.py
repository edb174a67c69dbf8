"""Slots that several machines share, as leases in Redis.

A slot is a lease that this process renews as long as it lives, and that ends by itself some seconds
after it died. Holders go by their own monotonic clock: a lease counts from before it was asked for,
so it ends here no later than in Redis. Who could not renew in time has lost the slot and is told.
"""

from __future__ import annotations

import platform
import secrets
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace

from pytest_registry.limits.agent import Agent
from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.directory import LimitWarning
from pytest_registry.limits.leases import Answer, Entry, Leases, NoRedis, clock
from pytest_registry.limits.policy import Kind
from pytest_registry.limits.slots import Event, Holder
from pytest_registry.oci.reference import normal_registry

LATEST = 5.0
"""Seconds until a waiter asks again though nobody woke it."""


class RedisSlots:
    """The slots of a registry (`HOST[:PORT]`) for all machines that use the Redis at `url`.

    `lease` is in seconds and this process's own; the first user's limit counts for all, who are
    warned.
    """

    def __init__(self, url: str, registry: str, lease: float = 10.0) -> None:
        """Connect nothing yet; raises OptionError, also where the redis package is missing."""
        self.leases = Leases(url, normal_registry(registry), lease)
        self.descriptors = Descriptors()
        self._registry = normal_registry(registry)
        self._agent: Agent | None = None
        self._warned: set[Kind] = set()

    @property
    def scope(self) -> str:
        """The registry."""
        return f"redis:{self._registry}"

    def claim(self, kind: Kind, count: int, holder: Holder) -> RedisClaim:
        """Ask for one of `count` slots."""
        holder = replace(holder, worker=f"{holder.worker} on {platform.node()}")
        return RedisClaim(self, self._own_agent(), kind, count, holder)

    def holders(self, kind: Kind, count: int) -> Sequence[Holder]:  # noqa: ARG002 - the protocol's
        """Who holds slots now, on all machines; nobody that is known if Redis does not answer."""
        try:
            return [Holder.from_line(line.encode()) for line in self.leases.holders(kind)]
        except NoRedis:
            return []

    def warn(self, kind: Kind, count: int, answer: Answer) -> None:
        """Warn once if others began with another limit."""
        if kind in self._warned or count == answer.limit:
            return
        self._warned.add(kind)
        warnings.warn(
            f"the {kind} limit stays {answer.limit} instead of {count}:"
            f" other machines that use {self._registry} now began with it",
            LimitWarning,
            stacklevel=2,
        )

    def _own_agent(self) -> Agent:
        with self.descriptors.lock:
            if self._agent is None or self._agent.generation != self.descriptors.generation:
                self._agent = Agent(self.leases, self.descriptors)
            return self._agent


class RedisClaim:
    """One wish for a slot (the protocol `slots.Claim`)."""

    def __init__(
        self, slots: RedisSlots, agent: Agent, kind: Kind, count: int, holder: Holder
    ) -> None:
        self._slots = slots
        self._agent = agent
        self._holder = holder
        self._descriptors = slots.descriptors
        self._reader: int | None = None
        self._writer: int | None = None
        self._came = ""
        self._patience = LATEST
        self._until: float | None = None
        self._granted = 0.0
        self._lost = ""
        self._since = time.time()
        self.kind = kind
        self.count = count
        self.id = f"{agent.name}/{secrets.token_hex(8)}"

    def attempt(self) -> bool:
        """Ask Redis, unless it is known not to answer; raises StateError where it refuses."""
        if not self._agent.holds(self):
            self._agent.add(self)
        self._listen()
        self._patience = LATEST
        if self._agent.is_away:
            return False
        asked = clock()
        try:
            answer = self._slots.leases.tell(self.kind, self.count, [self.entry()], ask=True)
        except NoRedis as error:
            self._agent.tell_trouble(error)
            return False
        self._slots.warn(self.kind, self.count, answer)
        self.note(answer.states[0], asked)
        self._granted = clock()
        self._agent.expect(answer)
        self._patience = min(LATEST, answer.event + 0.001)
        return self._has_it()

    def event(self) -> Event:
        """The hang-up by which the agent wakes us."""
        return Event(() if self._reader is None else (self._reader,), self._patience)

    def release(self) -> None:
        """Give back the slot or the place in the queue; nothing in a child that was forked since.

        Where Redis does not answer the agent goes on trying, until the lease is over anyway.
        """
        if self._agent.generation != self._descriptors.generation:
            return
        if self._agent.owes(self):
            self._agent.remove(self)
        self._descriptors.close_all(self)
        self._reader = self._writer = None

    def holders(self) -> Sequence[Holder]:
        """Who holds the slots now, on all machines."""
        return self._slots.holders(self.kind, self.count)

    def trouble(self) -> str:
        """Why the slot is not ours any more, or, for a waiter, why nobody is let in."""
        until = self._until
        if until is not None and not self._lost and clock() >= until:
            self._lost = f"its lease ended: {self._agent.trouble or 'it was not renewed in time'}"
        return self._lost or ("" if self._until is not None else self._agent.why_nobody())

    # What the agent needs -----------------------------------------------------------------------

    def entry(self) -> Entry:
        """What Redis is told of it."""
        line = self._holder.to_line(self._since).decode()
        return Entry("waiting" if self._until is None else "held", self.id, self._came, line)

    def is_renewable(self) -> bool:
        """Whether it still may say that it waits or holds."""
        return not (self._until is not None and self.trouble())

    def note(self, state: tuple[str, str], asked: float) -> None:
        """Take note of what Redis said to what was asked at `asked`."""
        said, self._came = state
        if said == "held":
            self._since = self._since if self._until is not None else time.time()
            self._until = asked + self._slots.leases.lease
        elif self._until is not None:
            self._lost = "Redis gave its slot to somebody else"

    def note_renewed(self, state: tuple[str, str], asked: float) -> None:
        """The same after a renewal: a waiter is only told to ask, as its time counts from then.

        What was asked before the newest grant was asked for one that still waited: its answer says
        nothing of the slot.
        """
        if self._until is None:
            if state[0] == "held":
                self.wake()
        elif asked >= self._granted:
            self.note(state, asked)

    def _has_it(self) -> bool:
        """Whether the slot may be used now.

        A process that stood still between the question and the answer's reading, as one that is
        stopped or whose machine sleeps, may have slept through its lease: it asks again, at once.
        """
        if self._until is not None and self.trouble():
            self._until, self._lost, self._patience = None, "", 0.0
        return self._until is not None

    def wake(self) -> None:
        """Let the one who waits for this claim ask again."""
        with self._descriptors.lock:
            if self._writer is not None:
                self._descriptors.close(self, self._writer)
                self._writer = None

    def _listen(self) -> None:
        """Have a pipe on which `wake` hangs up; before asking, so that no waking is missed."""
        with self._descriptors.lock:
            if self._writer is None:
                self._descriptors.close_all(self)
                self._reader, self._writer = self._descriptors.pipe(self)
