"""Whether a request is one too many: token buckets per class, and pulls and pushes at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable

from pytest_registry.gate.answers import refusal
from pytest_registry.gate.throttle import Throttle
from pytest_registry.server import Request, Response

MINUTE = 60.0
TRY_AGAIN = 1
"""Seconds after which a client that pulls too much at once is told to try again."""

_READS = ("GET", "HEAD")
_PLURAL = {"pull": "pulls", "push": "pushes"}


class Bucket:
    """`per_minute` tokens at most, filled up evenly. Full at the beginning."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / MINUTE
        self._clock = clock
        self._tokens = self._capacity
        self._at = clock()

    def missing(self) -> float:
        """Seconds until there is a token; 0.0 if there is one."""
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (1.0 - self._tokens) / self._per_second)

    def take(self) -> None:
        """Take one token."""
        self._tokens -= 1.0


class Throttler:
    """Carries out one throttle, for one request after another: see `admission`."""

    def __init__(self, throttle: Throttle, clock: Callable[[], float] = time.monotonic) -> None:
        self.throttle = throttle
        self._clock = clock
        self._buckets: dict[tuple[str, str | None], Bucket] = {}

    def refuse(self, request: Request, running: Iterable[Request]) -> Response | None:
        """The 429 for one request too many; None if it may go on.

        `running` are the requests that are being answered, this one among them.
        """
        too_many = self._too_many_at_once(request, running)
        if too_many:
            return self._answer(TRY_AGAIN, too_many)
        missing = max((each.missing() for each in self._buckets_of(request)), default=0.0)
        if missing > 0:
            return self._answer(missing, f"{class_of(request)} requests per minute")
        return None

    def take(self, request: Request) -> None:
        """Take the tokens of a request that goes on."""
        for each in self._buckets_of(request):
            each.take()

    def _too_many_at_once(self, request: Request, running: Iterable[Request]) -> str:
        kind = operation_of(request)
        limit = {"pull": self.throttle.pulls, "push": self.throttle.pushes}.get(kind)
        if limit is None:
            return ""
        found = at_once(each for each in running if operation_of(each) == kind)
        return f"{_PLURAL[kind]} at once" if found > limit else ""

    def _buckets_of(self, request: Request) -> list[Bucket]:
        kind = class_of(request)
        account = None if request.account is None else request.account.name
        found = []
        for owner, each_account in ((None, False), (account or "", True)):
            per_minute = self.throttle.per_minute(kind, each_account=each_account)
            if per_minute is None:
                continue
            key = (kind, owner)
            if key not in self._buckets:
                self._buckets[key] = Bucket(per_minute, self._clock)
            found.append(self._buckets[key])
        return found

    def _answer(self, wait: float, why: str) -> Response:
        headers = {"Retry-After": str(math.ceil(wait))} if self.throttle.retry_after else {}
        return refusal(429, self.throttle.answer, headers=headers, detail=f"too many {why}")


def class_of(request: Request) -> str:
    """The class whose bucket a request is paid from."""
    if request.route == "token":
        return "token"
    if request.route == "referrers":
        return "referrers"
    if request.method == "DELETE":
        return "delete"
    return "read" if request.method in _READS else "write"


def operation_of(request: Request) -> str:
    """`pull` or `push` for a request that carries content of one; empty for others."""
    if request.method == "GET" and request.route in ("blob", "manifest"):
        return "pull"
    if request.method in ("PUT", "PATCH", "POST") and request.route in ("upload", "manifest"):
        return "push"
    return ""


def at_once(requests: Iterable[Request]) -> int:
    """How many operations the requests must belong to, at least.

    One account's program may fetch several layers of one repository at once; but that it asks for
    the same one twice at once can only be two operations.
    """
    same: dict[tuple[str, str, str], Counter[str]] = {}
    for each in requests:
        account = "" if each.account is None else each.account.name
        agent = each.header("user-agent") or ""
        part = each.reference if each.route != "upload" else str(id(each))
        same.setdefault((account, agent, each.repository), Counter())[part] += 1
    return sum(max(parts.values()) for parts in same.values())
