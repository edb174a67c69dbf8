"""Records, the figures that are made of them, and the lines that people read."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from pytest_registry.errors import StateError
from pytest_registry.report.model import figures, peak_concurrency
from pytest_registry.report.records import OperationRecord, append, read
from pytest_registry.report.terminal import readable_bytes, summary_lines

RECORD = OperationRecord(
    kind="pull",
    repository="samples/nginx",
    reference="1",
    start=100.0,
    waited=0.0,
    duration=1.0,
    transferred=0,
    worker="gw0",
    test="tests/test_a.py::test_b",
    outcome="done",
)


def ran(start: float, duration: float, waited: float = 0.0) -> OperationRecord:
    return dataclasses.replace(RECORD, start=start, duration=duration, waited=waited)


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    log = tmp_path / "events"
    odd = dataclasses.replace(RECORD, repository="ä/\n", outcome="failed", error="PullError: ☹")
    append(log, RECORD)
    append(log, odd)
    assert list(read(log)) == [RECORD, odd]
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_run_without_operations_has_no_log(tmp_path: Path) -> None:
    assert list(read(tmp_path / "events")) == []


def test_other_events_and_half_lines_are_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "events"
    log.write_text('{"event": "started"}\n[1]\n')
    append(log, RECORD)
    with log.open("a") as file:
        file.write('{"event": "operation", "kind": "pull"}\n{"event": "oper')
    assert list(read(log)) == [RECORD]


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="append to the event log"):
        append(tmp_path / "missing" / "events", RECORD)


def test_half_a_line_that_a_full_disk_took_is_told_and_takes_no_other_record_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "events"
    others = dataclasses.replace(RECORD, worker="gw1")
    append(tmp_path / "others", others)
    write = os.write

    def write_half(descriptor: int, line: bytes) -> int:
        written = write(descriptor, line[: len(line) // 2])
        with log.open("ab") as file:  # another process finds room again before we do
            file.write((tmp_path / "others").read_bytes())
        return written

    append(log, RECORD)
    with monkeypatch.context() as full:
        full.setattr(os, "write", write_half)
        with pytest.raises(StateError, match="No space left on device"):
            append(log, RECORD)
    append(log, RECORD)
    assert list(read(log)) == [RECORD, others, RECORD]


def test_lines_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    log = tmp_path / "events"
    long = dataclasses.replace(RECORD, error="x" * 3000)

    def write() -> None:
        for _ in range(100):
            append(log, long)

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert list(read(log)) == [long] * 800


@pytest.mark.parametrize(
    ("records", "peak"),
    [
        ([], 0),
        ([ran(0, 1)], 1),
        ([ran(0, 2), ran(1, 2)], 2),
        ([ran(0, 1), ran(1, 1)], 1),
        ([ran(0, 5), ran(1, 1), ran(2, 1), ran(2.5, 1)], 3),
        ([ran(0, 2), ran(0, 1, waited=2)], 1),
        ([ran(0, 2), dataclasses.replace(ran(0, 0, waited=1), outcome="timeout")], 1),
    ],
)
def test_the_peak_is_what_ran_at_one_moment(records: list[OperationRecord], peak: int) -> None:
    assert peak_concurrency(records) == peak


def test_the_figures_are_of_each_kind() -> None:
    records = [
        dataclasses.replace(ran(0, 2), transferred=1_500),
        dataclasses.replace(ran(1, 2, waited=0.5), transferred=500, outcome="failed"),
        dataclasses.replace(ran(1, 0, waited=4), outcome="timeout", test="tests/t.py::test_late"),
        dataclasses.replace(ran(0, 1), kind="push"),
    ]
    pull, push = figures(records, {"pull": 10, "push": None})
    assert (pull.operations, pull.failed, pull.timed_out, pull.peak) == (2, 1, 1, 2)
    assert (pull.transferred, pull.limit, pull.waited) == (2_000, 10, 4.5)
    assert (pull.longest_wait, pull.longest_wait_test) == (4, "tests/t.py::test_late")
    assert (push.operations, push.peak, push.limit) == (1, 1, None)
    assert summary_lines([pull, push]) == [
        "2 pulls, 1 failed, 1 got no slot in time, 2.0 kB, at most 2 at once (limit 10),"
        " waited 4.5 s in all, 4.0 s at longest in tests/t.py::test_late",
        "1 push, at most 1 at once (no limit)",
    ]


def test_a_run_without_operations_says_nothing() -> None:
    assert summary_lines(figures([], {"pull": 10, "push": 5})) == []


@pytest.mark.parametrize(
    ("count", "readable"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_340_000, "12.3 MB"), (5e15, "5000.0 TB")],
)
def test_bytes_are_readable(count: float, readable: str) -> None:
    assert readable_bytes(count) == readable
