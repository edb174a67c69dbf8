"""File slots with a fair queue, for one machine: what is used wherever there are named pipes.

Why not something simpler (figures: benchmarks/limits.py):
- `filelock` alone tries and sleeps: it wakes late or burns a core, and whoever is lucky wins.
- Waiting in `flock` itself is fair, but knows no time limit, no asyncio, no Ctrl-C in a thread,
  and one stopped process holds up all behind it.
- A semaphore of System V is as fast, but belongs to the machine and not to a directory, leaks past
  a crash of its last user, and cannot say who holds it.
So: slots are lock files (`files.py`), the queue is a ring of pipes (`tickets.py`), and all that is
ever waited for is that a descriptor hangs up, which the kernel does for the dead as well.

A process that is stopped (SIGSTOP) while it is first in the queue would hold up everybody. On a
slow tick each waiter therefore looks for a slot that stays unused, and passes over whoever is
before it if it sees the same one twice: after three ticks at most.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.directory import private_directory
from pytest_registry.limits.files import TICK, SlotFiles, agreed_count, has_writer, make_room
from pytest_registry.limits.policy import Kind
from pytest_registry.limits.slots import Event, Holder
from pytest_registry.limits.tickets import Ahead, Tickets


@dataclass(frozen=True, slots=True)
class _Files:
    """What this process has open for one kind."""

    slots: SlotFiles
    tickets: Tickets


class RingSlots:
    """The slots of one registry, as files in `directory` (see `directory.registry_directory`).

    Files are opened at the first claim. The first count that is claimed of a kind stays.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptors = Descriptors()
        self._generation = self._descriptors.generation
        self._files: dict[Kind, _Files] = {}

    @property
    def scope(self) -> str:
        """The directory."""
        return str(self._directory)

    def claim(self, kind: Kind, count: int, holder: Holder) -> RingClaim:
        """Ask for one of `count` slots; warns if others agreed on a count.

        Raises StateError, and OptionError for more slots than the process may have open files for.
        """
        files = self._opened(kind, count)
        return RingClaim(files.slots, files.tickets, self._descriptors, holder)

    def holders(self, kind: Kind, count: int) -> Sequence[Holder]:
        """Who holds slots of a kind now; raises and warns as `claim`."""
        return list(self._opened(kind, count).slots.holders())

    def _opened(self, kind: Kind, count: int) -> _Files:
        with self._descriptors.lock:
            files = self._current().get(kind)
            if files is None:
                files = self._files[kind] = self._open(kind, count)
            return files

    def _open(self, kind: Kind, count: int) -> _Files:
        make_room(kind, count)
        directory = private_directory(self._directory / kind)
        agreed = agreed_count(directory, count, self._descriptors)
        if agreed > count:
            make_room(kind, agreed)
        slots = SlotFiles(directory, agreed, self._descriptors)
        return _Files(slots, Tickets(directory, self._descriptors))

    def _current(self) -> dict[Kind, _Files]:
        if self._generation != self._descriptors.generation:  # forked: these are the parent's
            self._generation = self._descriptors.generation
            self._files = {}
        return self._files


class RingClaim:
    """One wish for a slot (the protocol `slots.Claim`)."""

    def __init__(
        self, slots: SlotFiles, tickets: Tickets, descriptors: Descriptors, holder: Holder
    ) -> None:
        self._slots = slots
        self._tickets = tickets
        self._descriptors = descriptors
        self._generation = descriptors.generation
        self._holder = holder
        self._number: int | None = None
        self._place: int | None = None
        self._ahead: Ahead | None = None
        self._tick_at = 0.0
        self._passed = -1
        self._idle: dict[int, bytes] = {}

    def attempt(self) -> bool:
        """Take a free slot unless somebody who came earlier still waits; else queue."""
        if self._number is None:
            return self._arrive() or self._join()
        if self._ahead is not None and self._changed(self._ahead, self._number):
            self._watch(self._number)
        return self._ahead is None and self._take()

    def event(self) -> Event:
        """The hang-up of who is before us; of any slot if we are first."""
        if self._ahead is None:
            return self._slots.next_event()
        return Event([self._ahead.reader], TICK)

    def release(self) -> None:
        """Leave the queue and give back the slot; nothing in a child that was forked since."""
        if self._generation == self._descriptors.generation:
            self._ahead = self._place = None
            self._slots.give_back(self)

    def trouble(self) -> str:
        """Empty: a lock is held until it is given back."""
        return ""

    def holders(self) -> Sequence[Holder]:
        """Who holds the slots now."""
        return list(self._slots.holders())

    def _arrive(self) -> bool:
        """Take a slot without queueing, which only an empty queue allows."""
        last = self._tickets.last()
        if last > self._tickets.passed():
            self._watch(last + 1)
            if self._ahead is not None:
                return False
            self._tickets.pass_over(last)
        return self._slots.take(self, self._holder)

    def _join(self) -> bool:
        self._number = self._tickets.draw()
        self._place = self._tickets.stand(self, self._number)
        self._tick_at = time.monotonic() + TICK
        if self._ahead is None or self._ahead.number != self._number - 1:
            self._watch(self._number)
        return self._ahead is None and self._take()

    def _take(self) -> bool:
        if not self._slots.take(self, self._holder):
            return False
        if self._number is not None:
            self._tickets.pass_over(self._number)
        self._leave()
        return True

    def _leave(self) -> None:
        """Close both pipes; closing our own wakes who is behind us."""
        self._unwatch()
        if self._place is not None:
            self._descriptors.close(self, self._place)
            self._place = None

    def _watch(self, number: int) -> None:
        self._unwatch()
        self._ahead = self._tickets.ahead_of(self, number)

    def _unwatch(self) -> None:
        if self._ahead is not None:
            self._descriptors.close(self, self._ahead.reader)
            self._ahead = None

    def _changed(self, ahead: Ahead, number: int) -> bool:
        """Whether who is before us has left, or, on the slow tick, need not be waited for."""
        if not has_writer(ahead.reader):
            return True
        now = time.monotonic()
        if now < self._tick_at:
            return False
        self._tick_at = now + TICK
        if self._stalled():
            self._tickets.pass_over(number - 1)
        return self._tickets.passed() >= ahead.number

    def _stalled(self) -> bool:
        """Whether a slot was free at the last tick and since: whoever is to take it is stopped.

        The line of a slot's last holder tells of any use, as each differs in its time. As long as
        the queue moves from tick to tick there is no need to look at the slots.
        """
        passed_before, self._passed = self._passed, self._tickets.passed()
        before, self._idle = self._idle, {}
        if passed_before == self._passed:
            self._idle = self._slots.idle()
        return any(before.get(index) == line for index, line in self._idle.items())
