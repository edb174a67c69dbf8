"""How a test's process tells the gate what to do: a private route of the registry's own server.

PUT, GET and DELETE on `/_pytest_registry/faults/NAME` and PUT and DELETE on
`/_pytest_registry/throttles/NAME`, for whoever has the gate's own key: a registry without a login
has no password, and who may push need not be who may break it. Everybody else is told what any
unknown path is told. These requests are no part of the log.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import TYPE_CHECKING, Any

from pytest_registry.errors import OptionError
from pytest_registry.gate.buckets import Throttler
from pytest_registry.gate.fault import Fault, Scope
from pytest_registry.gate.in_force import FaultInForce, ThrottleInForce
from pytest_registry.gate.throttle import Throttle
from pytest_registry.server import ApiError, Code, Request, Response
from pytest_registry.server.body import read_all

if TYPE_CHECKING:
    from pytest_registry.gate.gate import Gate

ROOT = "/_pytest_registry/"
_PATH = re.compile(rf"{ROOT}(faults|throttles)/([0-9a-z-]{{1,64}})")
_LIMIT = 1024 * 1024


def answer(gate: Gate, request: Request) -> Response:
    """Do what a test's process asks for; raises ApiError."""
    found = _PATH.fullmatch(request.path)
    if found is None or not is_ours(request, gate.key):
        raise ApiError(Code.UNSUPPORTED, f"no such endpoint: {request.path[:200]}", status=404)
    kind, name = found.groups()
    if request.method == "PUT":
        gate.put(name, _rule(kind, request))
        return Response(201)
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
        wanted: dict[str, Any] = json.loads(read_all(request.body, _LIMIT) or b"")
        scope = Scope(**wanted["scope"])
        if kind == "faults":
            return FaultInForce(Fault.from_json(wanted["rule"]), scope)
        return ThrottleInForce(Throttler(Throttle.from_json(wanted["rule"])), scope)
    except (ValueError, TypeError, KeyError, OptionError) as error:
        raise ApiError(Code.UNSUPPORTED, f"this is no rule: {error}", status=400) from None


def _counts(found: FaultInForce | None) -> dict[str, int]:
    if found is None:
        return {"matched": 0, "hits": 0}
    return {"matched": found.matched, "hits": found.hits}
