"""Who came back sooner than told, as far as a log of requests can say."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_registry.report.traffic import LoggedRequest

_CLOCK_SECONDS = 0.01
"""How much earlier than told a client may seem to come back, by the clocks' grain."""

_TOO_MANY = 429

_UPLOAD = "upload"
"""The route of which all requests to a repository are looked at together."""


class TooSoon(NamedTuple):
    """A request that was refused with Retry-After, and the one that came back before that."""

    refused: LoggedRequest
    back: LoggedRequest

    def __str__(self) -> str:
        refused, back = self
        came = max(0.0, back.started - refused.ended)
        same = (back.method, back.path) == (refused.method, refused.path)
        return (
            f"{refused.method} {refused.path} was answered {refused.status} with"
            f" Retry-After {refused.retry_after:g} s, and came back"
            f"{'' if same else f' as {back.method} {back.path}'} after {came:.2f} s"
        )


def came_too_soon(requests: Iterable[LoggedRequest]) -> list[TooSoon]:
    """The refusals after which the same was asked again before the time was over, in their order.

    The log names accounts and not clients, so that it is read as follows. First each request that
    came in time is taken for the return of one refusal, the last that it can be of, but rather of
    one with its user agent: so many refused, so many must come back in time. Then a refusal came
    back too soon if the same was asked while it waited. Only a neighbour's first try does not count
    there: the refusal has its return in time, and the other request was itself refused, or it is
    of another user agent than both of them. A refusal after which nothing was asked in that time is
    of a client that gave up.
    """
    about: dict[tuple[str, ...], list[LoggedRequest]] = defaultdict(list)
    for each in sorted(requests, key=lambda each: each.started):
        what = () if each.route == _UPLOAD else (each.method, each.path)
        about[each.account, each.repository, each.route, *what].append(each)
    found = [early for asked in about.values() for early in _among(asked)]
    return sorted(found, key=lambda early: early.refused.ended)


def _among(asked: Sequence[LoggedRequest]) -> Iterator[TooSoon]:
    """Those among one account's requests for one thing, which are in order of their starts."""
    told = [each for each in asked if each.retry_after is not None]
    returns = _returns(told, asked)
    in_time = set(map(id, returns.values()))
    starts = [each.started for each in asked]
    for refused in told:
        own = returns.get(id(refused))
        first, end = bisect_left(starts, refused.ended), bisect_left(starts, _over(refused))
        for each in asked[first:end]:
            is_return = id(each) not in in_time and _asks_again(refused, each)
            if is_return and not _is_neighbour(each, refused, own):
                yield TooSoon(refused, each)
                break


def _returns(
    told: Iterable[LoggedRequest], asked: Iterable[LoggedRequest]
) -> Mapping[int, LoggedRequest]:
    """The request that came in time for each refusal (by its `id`) that has one."""
    found: dict[int, LoggedRequest] = {}
    waiting = [(_over(refused), refused) for refused in told]
    for each in asked:
        over = [
            refused
            for when, refused in waiting
            if when <= each.started and _asks_again(refused, each)
        ]
        if over:
            last = max(over, key=lambda one: (one.user_agent == each.user_agent, one.ended))
            found[id(last)] = each
            waiting = [one for one in waiting if one[1] is not last]
    return found


def _over(refused: LoggedRequest) -> float:
    """When the client may come back, in seconds of the epoch."""
    return refused.ended + max(0.0, (refused.retry_after or 0.0) - _CLOCK_SECONDS)


def _is_neighbour(early: LoggedRequest, refused: LoggedRequest, own: LoggedRequest | None) -> bool:
    """Whether it is another client's first try, since `refused` came back in time as `own`."""
    if own is None:
        return False
    was_refused = early.retry_after is not None or early.status == _TOO_MANY
    return was_refused or (early.user_agent != refused.user_agent == own.user_agent)


def _asks_again(refused: LoggedRequest, later: LoggedRequest) -> bool:
    """Whether a request for the same thing is the same, or begins the same upload anew.

    An upload goes on by any request to its own path but for DELETE, which gives it up; and it is
    begun anew by a POST to the repository, unless that is said to be of another digest. What other
    uploads that had begun before send is theirs.
    """
    if refused.route != _UPLOAD:
        return True
    if later.method == "POST":
        return not (later.digest and refused.digest) or later.digest == refused.digest
    return later.path == refused.path and later.method != "DELETE"
