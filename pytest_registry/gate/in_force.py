"""Faults and throttles while they are in force, and how often they met a request."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from pytest_registry.gate.buckets import Throttler
from pytest_registry.gate.effects import accepts_oci
from pytest_registry.gate.fault import Fault, Scope
from pytest_registry.server import Request, Response


@dataclass(slots=True)
class FaultInForce:
    """A fault, whose requests it meets, and how often it has."""

    fault: Fault
    scope: Scope
    matched: int = 0
    hits: int = 0
    _expired: str | None = field(default=None, repr=False)
    _draws: random.Random = field(init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._draws = random.Random(self.fault.seed)  # noqa: S311 - repeatable is the point

    def is_due(self, request: Request) -> bool:
        """Whether it is this request's turn; each that matches is counted."""
        if not self._matches(request):
            return False
        with self._lock:
            self.matched += 1
            return self._is_due()

    def concerns(self, request: Request) -> bool:
        """Whether the fault can be carried out on a request that is due and has come this far."""
        if not self.fault.expire_token:
            return True
        with self._lock:
            return self._expires(request)

    def hit(self) -> None:
        """Count a request on which the fault is carried out."""
        with self._lock:
            self.hits += 1

    def _matches(self, request: Request) -> bool:
        fault = self.fault
        if not in_scope(self.scope, request):
            return False
        if fault.require_oci_accept and accepts_oci(request):
            return False
        return fault.matches(request.method, request.route, request.repository, request.reference)

    def _is_due(self) -> bool:
        fault = self.fault
        if fault.nth is not None and self.matched != fault.nth:
            return False
        if fault.times is not None and self.matched > fault.times:
            return False
        return fault.probability == 1 or self._draws.random() < fault.probability

    def _expires(self, request: Request) -> bool:
        """Whether the request's token is the one that has expired: the first that came.

        A password does not expire: with it one request is refused.
        """
        token = request.header("authorization") or ""
        if self._expired is None:
            self._expired = token
            return True
        return token == self._expired and token.lower().startswith("bearer")


@dataclass(frozen=True, slots=True)
class ThrottleInForce:
    """A throttle, and whose requests it counts."""

    throttler: Throttler
    scope: Scope

    def refuse(self, request: Request, running: Iterable[Request]) -> Response | None:
        """The 429 for one request too many; None if it may go on.

        `running` are the requests that are being answered, this one among them.
        """
        if not in_scope(self.scope, request):
            return None
        mine = [each for each in running if in_scope(self.scope, each)]
        return self.throttler.refuse(request, mine)

    def take(self, request: Request) -> None:
        """Take the tokens that a request costs which goes on."""
        if in_scope(self.scope, request):
            self.throttler.take(request)


def in_scope(scope: Scope, request: Request) -> bool:
    """Whether a request is within a scope."""
    account = None if request.account is None else request.account.name
    return scope.holds(account, request.repository)
