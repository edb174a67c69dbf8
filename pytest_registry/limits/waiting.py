"""How one waits for a slot: by a deadline, with reports, in a thread or in an asyncio task."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator

from pytest_registry.errors import SlotTimeout
from pytest_registry.limits.slots import Claim, Event

FIRST_REPORT = 5.0
"""Seconds of waiting after which one says what one waits for."""
NEXT_REPORT = 30.0
"""Seconds between the further reports."""


class Patience:
    """How long one operation still waits, over all slots that it needs."""

    def __init__(
        self, what: Callable[[], str], timeout: float, report: Callable[[str], None] | None
    ) -> None:
        self._what = what
        self._timeout = timeout
        self._report = report
        self._began = time.monotonic()
        self._report_at = self._began + FIRST_REPORT

    @property
    def waited(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def remaining(self, claim: Claim) -> float:
        """Seconds left, above zero; reports when it is time to; raises SlotTimeout."""
        now = time.monotonic()
        left = self._began + self._timeout - now
        if left <= 0:
            raise self._over(claim)
        if self._report is None:
            return left
        if now >= self._report_at:
            self._report_at = now + NEXT_REPORT
            self._report(
                f"waiting for {now - self._began:.0f} s for {self._what()}; {_held(claim)}"
            )
        return min(left, self._report_at - now)

    def _over(self, claim: Claim) -> SlotTimeout:
        return SlotTimeout(
            f"get {self._what()}",
            f"none came free within {self._timeout:g} s; {_held(claim)}",
            "give the slots' timeout more seconds, raise the limit if the registry allows it, or"
            " see why the holders take so long",
            holders=_described(claim),
        )


def turns(claim: Claim, patience: Patience) -> Iterator[Event]:
    """Attempt until the slot is held; yields what to wait for in between; raises SlotTimeout."""
    while not claim.attempt():
        left = patience.remaining(claim)
        descriptors, seconds = claim.event()
        yield Event(descriptors, min(seconds, left))


def pause(event: Event) -> None:
    """Block this thread until the event."""
    if not event.descriptors:
        time.sleep(event.seconds)
        return
    poll = select.poll()
    for descriptor in event.descriptors:
        poll.register(descriptor, 0)  # a hang-up is reported without being asked for
    poll.poll(event.seconds * 1000)


async def pause_async(event: Event) -> None:
    """Suspend this task until the event; no thread is blocked, and cancelling leaves nothing."""
    import asyncio  # whoever waits in a task has it; the others need not load it, and ssl with it

    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def wake() -> None:
        if not over.done():
            over.set_result(None)

    timer = loop.call_later(event.seconds, wake)
    # Copies, because two tasks may watch one pipe and a loop keeps one reader per number.
    copies: list[int] = []
    try:
        for descriptor in event.descriptors:
            copies.append(os.dup(descriptor))
            loop.add_reader(copies[-1], wake)
        await over
    finally:
        timer.cancel()
        for copy in copies:
            loop.remove_reader(copy)
            os.close(copy)


def _described(claim: Claim) -> list[str]:
    now = time.time()
    return [holder.describe(now) for holder in claim.holders()]


def _held(claim: Claim) -> str:
    if trouble := claim.trouble():
        return trouble
    return "held by " + ("; ".join(_described(claim)) or "nobody that is known")
