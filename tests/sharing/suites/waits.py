"""A test that has no use for a registry, and goes on when it is told to."""

from collections.abc import Callable

Signal = Callable[[str], None]


def test_waits(say: Signal, wait_for: Signal) -> None:
    say("waiting")
    wait_for("go")
