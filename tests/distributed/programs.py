"""Programs that stand for other machines: `programs.py NAME ARGUMENT...`.

With PROOF_DAYS in the environment the machine's clock is wrong by so many days.
"""

from __future__ import annotations

import os
import sys
import time

from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy


def hold(url: str, lease: str, count: str = "1") -> None:
    """Hold one slot until a line comes."""
    slots = RedisSlots(url, "registry.example:5000", float(lease))
    with Limits(slots, LimitPolicy(pull=int(count), timeout=60)).pull():
        print("holding", flush=True)
        sys.stdin.readline()
    print("done", flush=True)


def crowd(url: str, lease: str, count: str, notes: str, operations: str) -> None:
    """Take and give back, and note the clock inside."""
    slots = RedisSlots(url, "registry.example:5000", float(lease))
    limits = Limits(slots, LimitPolicy(pull=int(count), timeout=60))
    lines = []
    for _ in range(int(operations)):
        with limits.pull():
            lines.append(f"{time.monotonic_ns()} 1\n")
            time.sleep(0.002)
            lines.append(f"{time.monotonic_ns()} -1\n")
    with open(notes, "a", encoding="ascii") as file:  # noqa: PTH123
        file.write("".join(lines))
    print("done", flush=True)


def wrong_by(days: int) -> None:
    """Have every time of day that is asked for be another one (libfaketime breaks time.sleep)."""
    right = time.time
    time.time = lambda: right() + days * 86400


if __name__ == "__main__":
    wrong_by(int(os.environ.get("PROOF_DAYS", "0")))
    globals()[sys.argv[1]](*sys.argv[2:])
