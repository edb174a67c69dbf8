"""How a test's process tells the gate what to do: a private route of the registry's own server.

PUT, GET and DELETE on `/_pytest_registry/faults/NAME` and PUT and DELETE on
`/_pytest_registry/throttles/NAME`, for whoever has the gate's own key: a registry without a login
has no password, and who may push need not be who may break it. Everybody else is told what any
unknown path is told. These requests are no part of the log.

What is PUT is a rule in JSON and one byte more, which is not sent before the rule shall end. So the
kernel tells of a process that died: its connection is closed, and its rules are in force no longer.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pytest_registry.errors import OptionError
from pytest_registry.gate.buckets import Throttler
from pytest_registry.gate.fault import Fault, Scope
from pytest_registry.gate.in_force import FaultInForce, ThrottleInForce
from pytest_registry.gate.throttle import Throttle
from pytest_registry.server import ApiError, Code, Request, Response
from pytest_registry.server.body import Body

if TYPE_CHECKING:
    from pytest_registry.gate.gate import Gate

ROOT = "/_pytest_registry/"
_PATH = re.compile(rf"{ROOT}(faults|throttles)/([0-9a-z-]{{1,64}})")
_LIMIT = 1024 * 1024


def answer(gate: Gate, request: Request) -> Response:
    """Do what a test's process asks for; raises ApiError."""
    found = _PATH.fullmatch(request.path)
    if found is None:
        raise ApiError(Code.UNSUPPORTED, f"no such endpoint: {request.path[:200]}", status=404)
    kind, name = found.groups()
    if request.method == "PUT":
        gate.put(name, _rule(kind, request))
        return Response(201, body=Lease(request.body, lambda: gate.remove(name)))
    counts = _counts(gate.fault(name))
    if request.method == "DELETE":
        gate.remove(name)
    elif request.method != "GET":
        raise ApiError(Code.UNSUPPORTED, request.method)
    return Response(200, {"Content-Type": "application/json"}, json.dumps(counts).encode())


def is_ours(request: Request, key: str) -> bool:
    """Whether a request carries the gate's key, as a bearer token."""
    scheme, _, given = (request.header("authorization") or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), key.encode())


def _rule(kind: str, request: Request) -> FaultInForce | ThrottleInForce:
    try:
        wanted: dict[str, Any] = json.loads(_all_but_one(request.body))
        scope = Scope(**wanted["scope"])
        if kind == "faults":
            return FaultInForce(Fault.from_json(wanted["rule"]), scope)
        return ThrottleInForce(Throttler(Throttle.from_json(wanted["rule"])), scope)
    except (ValueError, TypeError, KeyError, OptionError) as error:
        raise ApiError(Code.UNSUPPORTED, f"this is no rule: {error}", status=400) from None


def _all_but_one(body: Body) -> bytes:
    """What is there to be read at once."""
    wanted = min(body.length or 1, _LIMIT) - 1
    view = memoryview(bytearray(wanted))
    filled = 0
    while filled < wanted:
        filled += body.read_into(view[filled:])
    return bytes(view)


class Lease:
    """An answer without content that lasts until the request's body ends, or its client is gone.

    `end` is called then.
    """

    length = 0

    def __init__(self, body: Body, end: Callable[[], None]) -> None:
        self._body = body
        self._end = end

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Nothing, after a long time."""
        while self._is_silent():
            pass
        yield from ()

    def close(self) -> None:
        """End what was granted."""
        self._end()

    def _is_silent(self) -> bool:
        try:
            self._body.read_into(memoryview(bytearray(1)))
        except ApiError as error:
            return error.status == HTTPStatus.REQUEST_TIMEOUT  # it lives, and has nothing to say
        return False


def _counts(found: FaultInForce | None) -> dict[str, int]:
    if found is None:
        return {"matched": 0, "hits": 0}
    return {"matched": found.matched, "hits": found.hits}
