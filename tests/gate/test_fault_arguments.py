"""What a fault may be: whatever cannot be carried out is refused where it is written."""

from __future__ import annotations

import json
import math
import re
from http import HTTPStatus
from typing import Any

import pytest

from pytest_registry.errors import OptionError
from pytest_registry.gate.effects import CARRIED_OUT
from pytest_registry.gate.fault import EFFECTS, ENDPOINTS, Fault
from pytest_registry.server.routes import ROUTES as SERVED


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no effect"),
        ({"status": 500, "corrupt": True}, "status and corrupt"),
        ({"status": 99}, "a status of HTTP"),
        ({"status": 500, "on": "blobs"}, "a route .blob"),
        ({"status": 500, "on": "GET PUT"}, "a method .GET"),
        ({"status": 500, "on": "GET blob now"}, "or both"),
        ({"status": 500, "nth": 0}, "nth"),
        ({"status": 500, "nth": 1, "times": 1}, "nth and times"),
        ({"status": 500, "probability": 0}, "probability"),
        ({"status": 500, "answer": "xml"}, "one of spec"),
        ({"retry_after": 1, "delay": 1}, "its status too"),
        ({"delay": -1}, "delay"),
        ({"bandwidth": 0}, "bandwidth"),
        ({"reset": "after"}, "'before' or 'middle'"),
        ({"truncate": -1}, "'middle', or a number"),
        ({"content_length": 0}, "content_length"),
        ({"status": 500, "headers": {"A": "b\r\nC: d"}}, "headers"),
        ({"status": 500, "headers": ["a"]}, "names and values"),
        ({"status": 500, "headers": {"X": 1}}, "names and values"),
        ({"reset": "before", "headers": {"A": "b"}}, "its status too"),
        ({"status": 500, "body": b"x"}, "body: .* a text"),
        ({"status": 500, "body": 5}, "body: .* a text"),
        ({"status": 500, "repository": 5}, "repository: .* a text"),
        ({"status": 500, "on": None}, "a method .GET"),
        ({"status": 500, "probability": "0.5"}, "probability"),
        ({"status": 500, "probability": math.nan}, "probability"),
        ({"status": 500, "nth": 1.5}, "nth: .* whole number"),
        ({"status": 500, "times": True}, "times: .* whole number"),
        ({"status": 500, "seed": "x"}, "seed: .* whole number"),
        ({"status": 100}, "a status of HTTP that ends"),
        ({"status": True}, "a status of HTTP that ends"),
        ({"status": 503, "answer": "azure"}, "status=429"),
        ({"status": 429, "retry_after": 1.5}, "retry_after: .* whole number"),
        ({"bandwidth": "fast"}, "bandwidth: .* bytes per second"),
        ({"bandwidth": math.inf}, "bandwidth: .* bytes per second"),
        ({"delay": math.nan}, "delay: .* seconds"),
        ({"delay": math.inf}, "delay: .* seconds"),
        ({"delay": 1e300}, "delay: .* seconds"),
        ({"delay": True}, "delay: .* seconds"),
        ({"content_length": "x"}, "content_length: .* whole number"),
        ({"reset": True}, "reset: .* or a number of bytes"),
        ({"truncate": True}, "truncate: .* or a number of bytes"),
        ({"wrong_digest": "sha256:abc"}, "wrong_digest: .* True or False"),
        ({"corrupt": None}, "corrupt: .* True or False"),
        ({"redirect": 5}, "redirect: .* a URL"),
        ({"redirect": ""}, "redirect: .* a URL"),
        ({"redirect": "/elsewhere"}, "redirect: .* a URL"),
        ({"redirect": "http://a.test/\r\nX: y"}, "redirect: .* a URL"),
        ({"redirect": "http://[a/"}, "redirect: .* a URL"),
    ],
)
def test_a_fault_that_cannot_be_says_what_is_accepted(given: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError) as raised:
        Fault(**given)
    assert re.search(says, str(raised.value), re.DOTALL)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"on": "DELETE tags", "status": 500}, "give DELETE blob or DELETE manifest or"),
        ({"on": "manifest", "redirect": True}, "give GET blob\n"),
        ({"on": "HEAD blob", "truncate": 1}, "give GET blob\n"),
        ({"on": "PUT", "corrupt": True}, "give GET blob or GET manifest"),
        ({"on": "HEAD", "reset": "middle"}, "a fault with reset is on"),
        ({"on": "blob", "require_oci_accept": True}, "give GET manifest or HEAD manifest\n"),
        ({"on": "DELETE", "wrong_digest": True}, "a fault with wrong_digest is on"),
        ({"on": "GET base", "repository": "team/*", "status": 500}, "with repository is on"),
        ({"on": "tags", "reference": "latest", "delay": 1}, "with reference is on"),
    ],
)
def test_a_fault_that_no_request_can_meet_says_which_could(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        Fault(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"on": "HEAD blob", "reset": "before"},
        {"on": "GET base", "repository": "*", "status": 500},
        {"status": HTTPStatus.SERVICE_UNAVAILABLE},
        {"reset": 0},
        {"probability": 1, "delay": 0, "status": 500},
    ],
)
def test_a_fault_that_can_be_is_taken(given: dict[str, Any]) -> None:
    assert Fault(**given).effect in EFFECTS


def test_a_fault_can_be_on_what_the_servers_route_table_has() -> None:
    found = {(route.method, route.name) for route in SERVED}
    found |= {("HEAD", route.name) for route in SERVED if route.method == "GET"}
    named = {(method, route) for route, methods in ENDPOINTS.items() for method in methods}
    assert {each for each in named if each[1] != "token"} == found


def test_every_effect_has_a_function_that_carries_it_out() -> None:
    assert {*CARRIED_OUT} == {*EFFECTS}


def test_what_is_refused_shows_no_login_of_a_url() -> None:
    with pytest.raises(OptionError) as raised:
        Fault(redirect="ftp://user:s3cret@host.test/?sig=s3cret")
    assert "'ftp://***@host.test/?***'" in str(raised.value)


def test_a_fault_survives_as_json() -> None:
    fault = Fault("GET blob", status=429, retry_after=2, headers={"A": "b"}, nth=2)
    assert Fault.from_json(json.loads(json.dumps(fault.to_json()))) == fault
