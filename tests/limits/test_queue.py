"""The ring as a state machine: acquire, release, kill and time out in any order.

One process plays all: what a kill does to a process, its descriptors being closed without another
word, is what `forget` does. Real kills are in test_observer.py.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.ring import RingSlots
from pytest_registry.limits.slots import Claim, Holder

COUNT = 3


class Process:
    """One simulated process: its own view of the slots, and its claims in the order of asking."""

    def __init__(self, base: Path, name: str) -> None:
        slots = file_slots("localhost:5000", base)
        assert isinstance(slots, RingSlots)
        self.slots = slots
        self.name = name
        self.claims: list[Claim] = []


class Queue(RuleBasedStateMachine):
    """The model: a list of who waits, in order, and a set of who holds."""

    processes = Bundle("processes")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.started = 0
        self.asked = 0
        self.waiting: list[Claim] = []
        self.holding: set[Claim] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.base)

    @rule(target=processes)
    def start(self) -> Process:
        self.started += 1
        return Process(self.base, f"gw{self.started}")

    @rule(target=claims, process=processes)
    def acquire(self, process: Process) -> tuple[Process, Claim]:
        self.asked += 1
        holder = Holder(process.name, "", "pull", f"image-{self.asked}", 0.0, 1)
        claim = process.slots.claim("pull", COUNT, holder)
        process.claims.append(claim)
        self.waiting.append(claim)
        self._attempt(claim)
        return process, claim

    @rule(asked=consumes(claims))
    def release_or_time_out(self, asked: tuple[Process, Claim]) -> None:
        process, claim = asked
        if claim in process.claims:  # else its process was killed
            claim.release()
            claim.release()
            process.claims.remove(claim)
            self._gone(claim)

    @rule(process=consumes(processes))
    def kill(self, process: Process) -> None:
        process.slots._descriptors.forget()
        for claim in process.claims:
            self._gone(claim)
        process.claims.clear()

    @rule(order=st.randoms(use_true_random=False))
    def wake_everybody(self, order: object) -> None:
        """Whoever came first gets what is free, in whatever order the waiters look."""
        shuffled = list(self.waiting)
        order.shuffle(shuffled)  # type: ignore[attr-defined]
        expected = self.waiting[: COUNT - len(self.holding)]
        for _ in range(len(shuffled)):  # one after the other may only now be first
            for claim in shuffled:
                if claim in self.waiting:
                    self._attempt(claim)
        assert all(claim in self.holding for claim in expected)
        assert len(self.holding) == COUNT or not self.waiting

    @invariant()
    def never_more_than_the_limit(self) -> None:
        assert len(self.holding) <= COUNT

    @invariant()
    def the_holders_are_told(self) -> None:
        if self.started:
            seen = file_slots("localhost:5000", self.base).holders("pull", COUNT)
            assert len(seen) == len(self.holding)

    def _attempt(self, claim: Claim) -> None:
        if claim.attempt():
            self.waiting.remove(claim)
            self.holding.add(claim)

    def _gone(self, claim: Claim) -> None:
        self.holding.discard(claim)
        if claim in self.waiting:
            self.waiting.remove(claim)


TestQueue = Queue.TestCase
TestQueue.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
