"""The catalog of repositories: `/v2/_catalog`.

It is not in the OCI specification, but in Docker's before it, and every registry has it.
"""

from __future__ import annotations

import json

from pytest_registry.server.paging import page
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.store import Store


def list_repositories(store: Store, request: Request) -> Response:
    """Every repository that holds something, in pages if `n` asks for them."""
    names, headers = page(request, store.repositories())
    body = json.dumps({"repositories": names}).encode()
    return Response(200, {"Content-Type": "application/json", **headers}, body)
