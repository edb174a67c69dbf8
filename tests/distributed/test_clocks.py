"""Machines whose clocks differ by days, and a Redis that takes its time."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.errors import SlotTimeout
from tests.distributed.conftest import LEASE, LONG_LEASE, limits_of

if TYPE_CHECKING:
    from tests.distributed.conftest import RedisServer, Start


def later(days: int) -> list[str]:
    """A prefix for a command of a machine whose day is another one: see programs.py."""
    return ["env", f"PROOF_DAYS={days}"]


def booted_later(seconds: int) -> list[str]:
    """A prefix for a command of a machine that has run for another time; Linux, as root."""
    words = ["unshare", "--time", "--boottime", str(seconds), "--"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        return []  # the time of day is what machines differ in; this is more than they do
    return words


def test_never_more_than_n_though_the_clocks_differ_by_days(
    start: Start, redis_server: RedisServer, tmp_path: Path
) -> None:
    notes, count = tmp_path / "notes", 2
    machines = [later(-30), [], later(400), booted_later(1_000_000)]
    crowd = [
        start("crowd", redis_server.url, LONG_LEASE, count, notes, 60, before=before)
        for before in machines
    ]
    assert [each.communicate(timeout=100)[0] for each in crowd] == ["done\n"] * len(machines)
    lines = sorted(tuple(map(int, line.split())) for line in notes.read_text().splitlines())
    assert len(lines) == len(machines) * 60 * 2
    inside = most = 0
    for _, change in lines:
        inside += change
        most = max(most, inside)
    assert most == count


@pytest.mark.parametrize("days", [-30, 400])
def test_a_machine_with_another_day_holds_its_lease_and_frees_it_when_it_dies(
    start: Start, redis_server: RedisServer, days: int
) -> None:
    holder = start("hold", redis_server.url, LEASE, before=later(days))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    with pytest.raises(SlotTimeout):  # it is renewed beyond its first lease
        limits_of(redis_server.url, LEASE, timeout=LEASE * 1.5).pull().__enter__()
    holder.kill()
    killed = time.monotonic()
    with limits_of(redis_server.url, LEASE).pull():
        assert time.monotonic() - killed < LEASE + 8  # of the 20 that it would wait


@contextmanager
def slow(server: RedisServer, seconds: float) -> Iterator[None]:
    """Have Redis answer everybody late, again and again."""
    import redis

    over = threading.Event()

    def pause() -> None:
        with redis.Redis.from_url(server.url) as client:
            while not over.is_set():
                client.execute_command("CLIENT", "PAUSE", round(seconds * 1000), "ALL")
                over.wait(seconds * 1.2)

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_slow_redis_is_waited_for_and_never_lets_in_too_many(
    start: Start, redis_server: RedisServer, tmp_path: Path
) -> None:
    notes, count = tmp_path / "notes", 1
    with slow(redis_server, 0.4):
        crowd = [start("crowd", redis_server.url, LONG_LEASE, count, notes, 5) for _ in range(3)]
        said = [each.communicate(timeout=100)[0] for each in crowd]
    assert said == ["done\n"] * 3
    lines = sorted(tuple(map(int, line.split())) for line in notes.read_text().splitlines())
    changes = [change for _, change in lines]
    assert changes == [1, -1] * 15
