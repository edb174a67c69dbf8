"""Never more than N, whatever happens: an observer that knows nothing of slots counts holders.

Workers note the clock after they were let in and before they leave. What the observer counts is
therefore never more than what was really held; and as the notes lie right beside the taking and
the giving back, one holder too many does not hide among 100,000.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

Start = Callable[..., "Popen[str]"]

NOTE = struct.Struct("<qiq")
"""As programs.py writes it: nanoseconds, who, 1 for taking, -1 for giving back, 0 for a kill."""


def most_holders(notes: bytes) -> int:
    """How many held at the same moment, at most.

    Who is killed holds till then, as far as one can know, and what he still notes is passed over.
    """
    holding: set[int] = set()
    killed: set[int] = set()
    most = 0
    for _, who, change in sorted(NOTE.iter_unpack(notes), key=lambda note: (note[0], note[2])):
        if change == 1 and who not in killed:
            holding.add(who)
            most = max(most, len(holding))
        else:
            holding.discard(who)
        if change == 0:
            killed.add(who)
    return most


def seconds_to_hold_all(start: Start, base: Path, count: int) -> float:
    said = start("hold_all", base, count).communicate(timeout=60)[0]
    return float(said)


def test_the_observer_sees_one_holder_too_many() -> None:
    notes = [(1, 7, 1), (2, 8, 1), (3, 7, -1), (4, 9, 1), (5, 9, 0), (6, 8, -1)]
    assert most_holders(b"".join(NOTE.pack(*note) for note in notes)) == 2


def test_never_more_than_n_hold_over_100_000_operations(start: Start, base: Path) -> None:
    notes, count, processes, operations = base / "notes", 3, 5, 20_000
    crowd = [start("crowd", base, count, notes, operations, 2) for _ in range(processes)]
    assert [process.communicate(timeout=100)[0] for process in crowd] == ["done\n"] * processes
    noted = notes.read_bytes()
    assert len(noted) == 2 * NOTE.size * processes * operations
    assert most_holders(noted) == count


def test_1_000_kills_lose_no_slot_and_let_nobody_pass(start: Start, base: Path) -> None:
    notes, count = base / "notes", 4
    program = start("kills", base, count, notes, 12, 1_000)
    assert program.communicate(timeout=100)[0] == "ended 0\n"
    assert most_holders(notes.read_bytes()) == count
    assert seconds_to_hold_all(start, base, count) < 10
