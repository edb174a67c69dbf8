"""The route table ("Endpoints"): which handler answers which method on which path."""

import re
from collections.abc import Callable, Collection, Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from pytest_registry.oci.names import is_repository
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.store import Store

Handler = Callable[[Store, Request], Response]


class Route(NamedTuple):
    """One row: the endpoint's id in the specification, and how it is reached and answered.

    `name` is what records, faults and limits call it. In `path`, `<name>` is a repository and
    `<reference>` the last part: a tag, a digest or an upload's id.
    """

    endpoints: str
    method: str
    path: str
    name: str
    handler: Handler


def _of(noun: str, name: str) -> Handler:
    """A noun's handler. It is imported with the first request for it, for a start needs none."""

    @cache
    def handler() -> Handler:
        found: Handler = getattr(import_module(f"pytest_registry.server.{noun}"), name)
        return found

    def handle(store: Store, request: Request) -> Response:
        return handler()(store, request)

    return handle


_UPLOADS = "/v2/<name>/blobs/uploads/"
_UPLOAD = "/v2/<name>/blobs/uploads/<reference>"
_BLOB = "/v2/<name>/blobs/<reference>"
_MANIFEST = "/v2/<name>/manifests/<reference>"

ROUTES = (
    Route("end-3", "GET", _MANIFEST, "manifest", _of("manifests", "get")),
    Route("end-3", "HEAD", _MANIFEST, "manifest", _of("manifests", "head")),
    Route("end-7a end-7b", "PUT", _MANIFEST, "manifest", _of("manifests", "put")),
    Route("end-9", "DELETE", _MANIFEST, "manifest", _of("manifests", "delete")),
    Route("end-4a end-4b end-4c end-11", "POST", _UPLOADS, "upload", _of("uploads", "start")),
    Route("end-5", "PATCH", _UPLOAD, "upload", _of("uploads", "append")),
    Route("end-6", "PUT", _UPLOAD, "upload", _of("uploads", "finish")),
    Route("end-13", "GET", _UPLOAD, "upload", _of("uploads", "status")),
    Route("end-14", "DELETE", _UPLOAD, "upload", _of("uploads", "cancel")),
    Route("end-2", "GET", _BLOB, "blob", _of("blobs", "get")),
    Route("end-2", "HEAD", _BLOB, "blob", _of("blobs", "head")),
    Route("end-10", "DELETE", _BLOB, "blob", _of("blobs", "delete")),
    Route("end-8a end-8b", "GET", "/v2/<name>/tags/list", "tags", _of("tags", "list_tags")),
    Route(
        "end-12a end-12b", "GET", "/v2/<name>/referrers/<reference>", "referrers",
        _of("referrers", "list_referrers"),
    ),
    Route("end-1", "GET", "/v2/", "base", _of("base", "check")),
    Route("", "GET", "/v2/_catalog", "catalog", _of("catalog", "list_repositories")),
)  # fmt: skip

PUBLIC_ROUTES = frozenset({"token"})
"""Names of routes that anybody may ask, since that is how one logs in; see `tokens.py`."""


class Router:
    """Finds a request's row of a route table."""

    def __init__(self, routes: Sequence[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        self._paths = [(_pattern(path), methods) for path, methods in by_path.items()]

    def find(self, request: Request) -> Handler:
        """The handler; fills in the request's route, repository and reference.

        Raises ApiError for an unknown path, a wrong method and a name outside of the grammar.
        """
        for pattern, methods in self._paths:
            match = pattern.fullmatch(request.path)
            if match is not None:
                return _enter(request, methods, **match.groupdict())
        raise ApiError(Code.UNSUPPORTED, f"no such endpoint: {request.path[:200]}", status=404)


def _enter(
    request: Request, methods: dict[str, Route], name: str = "", reference: str = ""
) -> Handler:
    route = methods.get(request.method)
    if route is None and request.method == "HEAD":
        route = methods.get("GET")  # RFC 9110, section 9.1: both are always supported
    request.route = next(iter(methods.values())).name
    request.reference = reference
    if route is None:
        raise ApiError(Code.UNSUPPORTED, request.method, headers={"Allow": _allowed(methods)})
    if name and not is_repository(name):
        raise ApiError(Code.NAME_INVALID, name[:200])
    request.repository = name
    return route.handler


def _allowed(methods: Collection[str]) -> str:
    """All that a path answers, HEAD too where it is answered like GET (RFC 9110, 10.2.1)."""
    return ", ".join(dict.fromkeys([*methods, "HEAD"] if "GET" in methods else methods))


def _pattern(path: str) -> re.Pattern[str]:
    """A row's path as a pattern. Slashes at the end do not matter, except within a name."""
    pattern = path.replace("<name>", "(?P<name>.+)").replace("<reference>", "(?P<reference>[^/]+)")
    return re.compile(pattern + "?" if path.endswith("/") else pattern, re.DOTALL)
