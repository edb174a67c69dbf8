"""Tags: "Listing Tags"."""

from __future__ import annotations

import json

from pytest_registry.server.lookup import known_repository
from pytest_registry.server.paging import page
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.store import Store


def list_tags(store: Store, request: Request) -> Response:
    """end-8a and 8b."""
    repository = known_repository(store, request.repository)
    tags, headers = page(request, store.tags(repository))
    body = json.dumps({"name": request.repository, "tags": tags}).encode()
    return Response(200, {"Content-Type": "application/json", **headers}, body)
