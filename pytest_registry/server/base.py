"""`/v2/`: whether this is a registry at all ("Determining Support")."""

from __future__ import annotations

from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.store import Store


def check(store: Store, request: Request) -> Response:  # noqa: ARG001 - the handlers' signature
    """end-1. Clients also log in here: the unauthenticated never come this far."""
    return Response(200, {"Content-Type": "application/json"}, b"{}")
