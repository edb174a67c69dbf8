"""The thread that renews a process's leases in Redis and wakes its waiters."""

from __future__ import annotations

import os
import secrets
import threading
import time
from typing import Protocol

from pytest_registry.errors import StateError
from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.leases import BEATS, Answer, Entry, Leases, NoRedis, clock
from pytest_registry.limits.policy import KINDS, Kind

RETRY = 0.2
"""Seconds between two attempts to reach a Redis that does not answer."""


class Leased(Protocol):
    """A claim, as its agent sees it."""

    kind: Kind
    count: int
    id: str

    def entry(self) -> Entry:
        """What Redis is told of it."""

    def is_renewable(self) -> bool:
        """Whether it still may say that it waits or holds."""

    def note_renewed(self, state: tuple[str, str], asked: float) -> None:
        """Take note of what Redis said."""

    def wake(self) -> None:
        """Let its waiter ask again."""


class Agent:
    """One process's heart: beats as long as it has claims. Good for the process that made it."""

    def __init__(self, leases: Leases, descriptors: Descriptors) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self.generation = descriptors.generation
        self._problem: NoRedis | StateError | None = None
        self._leases = leases
        self._lock = descriptors.lock
        # Redis must hear of what is given back after a renewal that does not know of it yet. It may
        # be given back by the garbage collector, in the midst of a renewal.
        self._telling = threading.RLock()
        self._between_beats = leases.lease / BEATS
        self._claims: dict[str, Leased] = {}
        self._gone: dict[str, tuple[Leased, float]] = {}
        """Claims given back, and when (by `clock()`) they need not be told any more."""
        self._thread: threading.Thread | None = None
        self._next_beat = 0.0
        self._next_event = 0.0
        self._closed_until = 0.0

    @property
    def trouble(self) -> str:
        """Why Redis is of no use now; empty where it is."""
        return "" if self._problem is None else str(self._problem)

    @property
    def is_away(self) -> bool:
        """Whether Redis does not even answer, so that the thread alone asks."""
        return isinstance(self._problem, NoRedis)

    def holds(self, claim: Leased) -> bool:
        """Whether the claim is one of those that are renewed."""
        return claim.id in self._claims

    def owes(self, claim: Leased) -> bool:
        """Whether Redis has to be told yet that it is given back."""
        return claim.id in self._claims or claim.id in self._gone

    def add(self, claim: Leased) -> None:
        """Renew a claim from now on."""
        with self._lock:
            if not self._claims:
                self._next_event = self._next_beat = time.monotonic() + self._between_beats
            self._claims[claim.id] = claim
            self._start()

    def remove(self, claim: Leased) -> None:
        """Renew it no longer and give it back: now, or by the thread if Redis does not answer."""
        with self._lock:  # noted first, for an interrupt between here and Redis' answer
            self._gone.setdefault(claim.id, (claim, clock() + self._leases.lease))
            self._claims.pop(claim.id, None)
            self._start()
        if not self.trouble:  # else the thread will tell it, which need not be waited for
            self._tell_gone(claim)

    def _tell_gone(self, claim: Leased) -> None:
        with self._telling:
            if self.trouble:
                return
            try:
                self._leases.tell(claim.kind, claim.count, [Entry("gone", claim.id, "", "")])
            except (NoRedis, StateError) as error:
                self.tell_trouble(error)
                return
        with self._lock:
            self._gone.pop(claim.id, None)  # the thread may have told it already

    def expect(self, answer: Answer) -> None:
        """Take note of when something will happen by the clock alone."""
        moment = time.monotonic()
        event = moment + answer.event + 0.001
        if event < self._next_event or self._next_event <= moment:
            self._next_event = event
        self._closed_until = moment + answer.closed

    def why_nobody(self) -> str:
        """Why no waiter is let in; empty where they just wait for their turn."""
        if self.trouble:
            return self.trouble
        left = self._closed_until - time.monotonic()
        if left <= 0:
            return ""
        return (
            f"{self._leases.where} is new or forgot what it knew: for another {left:.0f} s somebody"
            " may hold a slot that it does not know of"
        )

    def tell_trouble(self, error: NoRedis | StateError) -> None:
        """Let nobody ask in vain until the thread has reached Redis again.

        One that answers and refuses may be asked: who waits then learns at once what is wrong.
        """
        self._problem = error

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(
                target=self._beat_on, name="pytest-registry limits", daemon=True
            )
            thread.start()
            self._thread = thread  # only now: where it could not start, the next one tries again

    def _beat_on(self) -> None:
        while self._is_needed():
            try:
                if self.trouble:
                    time.sleep(RETRY)
                    self._beat()
                    self._recovered()
                    continue
                self._wait()
                if time.monotonic() >= min(self._next_beat, self._next_event):
                    self._beat()
            except (NoRedis, StateError) as error:
                self.tell_trouble(error)

    def _is_needed(self) -> bool:
        with self._lock:
            if self._claims or self._gone:
                return True
            self._thread = None
            return False

    def _wait(self) -> None:
        """Wait for a waking or for the next beat."""
        moment = min(self._next_beat, self._next_event) - time.monotonic()
        woken = self._leases.next_woken(self.name, min(moment, self._between_beats))
        claim = self._claims.get(woken or "")
        if claim is not None:
            claim.wake()

    def _beat(self) -> None:
        """Renew everything, and give back what could not be given back before."""
        with self._telling:
            self._tell_everything()

    def _tell_everything(self) -> None:
        with self._lock:
            claims = [claim for claim in self._claims.values() if claim.is_renewable()]
            now = clock()
            gone = {key: each for key, each in self._gone.items() if each[1] > now}
            self._gone = {}
        self._next_beat = time.monotonic() + self._between_beats
        self._next_event = self._next_beat
        try:
            for kind in KINDS:
                mine = [claim for claim in claims if claim.kind == kind]
                left = [claim for claim, _ in gone.values() if claim.kind == kind]
                if not mine and not left:
                    continue
                count = (mine or left)[0].count
                asked = clock()  # before their state is read: see `RedisClaim.note_renewed`
                entries = [each.entry() for each in mine]
                entries += [Entry("gone", each.id, "", "") for each in left]
                answer = self._leases.tell(kind, count, entries)
                self.expect(answer)
                for claim, state in zip(mine, answer.states, strict=True):
                    claim.note_renewed(state, asked)
        except (NoRedis, StateError):
            with self._lock:
                self._gone = gone | self._gone
            raise

    def _recovered(self) -> None:
        self._problem = None
        with self._lock:
            if self._gone:  # by whom it was not told, as there was trouble still
                self._next_beat = 0.0
            claims = list(self._claims.values())
        for claim in claims:
            claim.wake()
