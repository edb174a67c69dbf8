"""Another host that a registry sends clients to for its blobs, as hosted registries do.

It listens on a port of its own, takes signed URLs only, and refuses a request that carries an
Authorization header besides: so do the object stores, and clients that pass the registry's login on
find out here (the login would leak as well).
"""

from __future__ import annotations

import secrets
import threading

from pytest_registry.server import (
    ApiError,
    Code,
    Proceed,
    RegistryServer,
    Request,
    Response,
    ServerSettings,
)
from pytest_registry.server.authentication import OpenToAll

PATH = "/storage/"


class ObjectStore:
    """Started when the first blob is handed out; `settings` are the registry's own."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings._replace(
            port=0,
            storage=None,
            authenticator=OpenToAll(),
            routes=None,
            interceptor=self._answer,
            observer=None,
        )
        self._server: RegistryServer | None = None
        self._blobs: dict[str, tuple[str, Request, Proceed]] = {}
        self._lock = threading.Lock()

    def hand_out(self, owner: str, request: Request, proceed: Proceed) -> str:
        """A URL that answers what `proceed` would, until all of its owner's are taken back."""
        signature = secrets.token_urlsafe(24)
        with self._lock:
            if self._server is None:
                self._server = RegistryServer(self._settings)
                self._server.start()
            self._blobs[signature] = (owner, request.with_(request.headers), proceed)
            return f"{self._server.url}{PATH}{request.reference}?signature={signature}"

    def take_back(self, owner: str) -> None:
        """Answer none of its owner's URLs any more."""
        with self._lock:
            self._blobs = {key: each for key, each in self._blobs.items() if each[0] != owner}

    def close(self) -> None:
        """Stop serving, if it ever began."""
        if self._server is not None:
            self._server.close()

    def _answer(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002 - an interceptor
        found = self._blobs.get(request.parameter("signature") or "")
        if found is None or request.method not in ("GET", "HEAD"):
            raise ApiError(Code.DENIED, "the signature is not one of ours")
        if request.header("authorization") is not None:
            why = "only one way of authentication is allowed: the signature, or Authorization"
            raise ApiError(Code.UNSUPPORTED, why, status=400)
        _, original, fetch = found
        headers = {name: each for name, each in original.headers.items() if name != "range"}
        if "range" in request.headers:
            headers["range"] = request.headers["range"]
        return fetch(original.with_(headers, request.body, request.method))
