"""When a request is sent again, and after how long."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

BUSY_TRIES = 12
"""Times that a 429 is waited for, whatever the patience: a server may ask for no wait at all."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a client tries.

    `tries`: how often a request is sent at most when the server fails (5xx) or the connection
    breaks. `delay`: seconds before the second try, four times as many before each later one.
    `patience`: seconds that one request waits in all for a server that says 429.
    """

    tries: int = 4
    delay: float = 0.1
    patience: float = 60.0


class Pace:
    """The tries of one request."""

    def __init__(self, policy: RetryPolicy, sleep: Callable[[float], None] = time.sleep) -> None:
        self._policy = policy
        self._sleep = sleep
        self._broken = 0
        self._busy = 0
        self._left = policy.patience

    def after_failure(self) -> bool:
        """Wait before another try after a 5xx or a broken connection; False where it is over."""
        self._broken += 1
        if self._broken >= self._policy.tries:
            return False
        self._sleep(self._policy.delay * 4 ** (self._broken - 1))
        return True

    def after_busy(self, asked_for: float | None) -> bool:
        """Wait as long as a 429 asked for (seconds); False where that passes the patience.

        Where it did not say, the wait doubles from about one second, at random lengths: many
        workers that were refused together shall not come back together.
        """
        seconds = asked_for
        if seconds is None:
            seconds = 2.0**self._busy * secrets.SystemRandom().uniform(0.5, 1.0)
        self._busy += 1
        if seconds > self._left or self._busy > BUSY_TRIES:
            return False
        self._left -= seconds
        self._sleep(seconds)
        return True
