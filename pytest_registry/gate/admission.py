"""Which requests are being answered, and whether one more may be: one is decided after another."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pytest_registry.gate.in_force import ThrottleInForce
from pytest_registry.server import Request, Response


class Admission:
    """Counts the requests that are being answered. Used by many threads."""

    def __init__(self) -> None:
        self._running: set[Request] = set()
        # Who looks and who is counted are one step: of two that come at the same time, with one
        # place left, exactly one is refused.
        self._lock = threading.Lock()

    @contextmanager
    def of(
        self, request: Request, throttles: Sequence[ThrottleInForce]
    ) -> Iterator[Response | None]:
        """Count a request while the context lasts, unless one of the throttles refuses it.

        Gives that one's 429 then, and None otherwise.
        """
        refused = self._admit(request, throttles)
        try:
            yield refused
        finally:
            with self._lock:
                self._running.discard(request)

    def _admit(self, request: Request, throttles: Sequence[ThrottleInForce]) -> Response | None:
        with self._lock:
            running = [*self._running, request]
            for each in throttles:
                refused = each.refuse(request, running)
                if refused is not None:
                    return refused
            # Not before: a request that one of them refuses costs no token of another's.
            for each in throttles:
                each.take(request)
            self._running.add(request)
        return None
