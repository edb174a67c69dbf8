"""The route table and the error codes, walked row by row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_registry.security.credentials import Credentials
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.routes import ROUTES, Route

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Serve

ENDPOINTS = {
    "end-1", "end-2", "end-3", "end-4a", "end-4b", "end-4c", "end-5", "end-6", "end-7a", "end-7b",
    "end-8a", "end-8b", "end-9", "end-10", "end-11", "end-12a", "end-12b", "end-13", "end-14",
}  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
ABSENT = "sha256:" + "0" * 64


def path_of(route: Route) -> str:
    return route.path.replace("<name>", "a/b").replace("<reference>", ABSENT)


def test_every_endpoint_of_the_specification_has_a_route() -> None:
    assert {end for route in ROUTES for end in route.endpoints.split()} == ENDPOINTS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_is_reached_and_recorded_by_its_name(route: Route, registry: Asked) -> None:
    answer = registry.ask(route.method, path_of(route))
    assert answer.status not in (405, 500)
    record = registry.record()
    assert (record.route, record.method, record.status) == (
        route.name,
        route.method,
        answer.status,
    )
    assert record.repository == ("a/b" if "<name>" in route.path else "")
    assert record.reference == (ABSENT if "<reference>" in route.path else "")


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
def test_other_methods_are_refused_with_those_that_are_allowed(path: str, registry: Asked) -> None:
    allowed = {route.method for route in ROUTES if route.path == path}
    if "GET" in allowed:
        allowed.add("HEAD")  # it is answered, so it is listed (RFC 9110, section 15.5.6)
    for method in METHODS:
        if method in allowed:
            continue
        answer = registry.ask(method, path.replace("<name>", "a").replace("<reference>", ABSENT))
        assert answer.status == 405
        assert sorted(str(answer["Allow"]).split(", ")) == sorted(allowed)


def test_whoever_is_not_logged_in_learns_nothing(serve: Serve) -> None:
    registry = serve(credentials=Credentials("someone", "secret"))
    paths = [path_of(route) for route in ROUTES] + ["/", "/v2", "/v2/BAD/tags/list", "/etc/passwd"]
    for path in paths:
        for method in METHODS:
            answer = registry.ask(method, path)
            assert answer.status == 401
            assert answer["WWW-Authenticate"] == 'Basic realm="pytest-registry", charset="UTF-8"'
            assert method == "HEAD" or answer.codes == ["UNAUTHORIZED"]


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_a_code_makes_the_specifications_body(code: Code) -> None:
    response = ApiError(code, "one", "two", headers={"X-More": "yes"}).response()
    assert response.status == code.status
    assert response.headers == {"Content-Type": "application/json", "X-More": "yes"}
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "errors": [
            {"code": code.name, "message": code.message, "detail": detail}
            for detail in ("one", "two")
        ]
    }
