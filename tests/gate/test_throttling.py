"""Throttling: buckets per class, pulls and pushes at once, and the texts that clients trip on."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.errors import OptionError
from pytest_registry.gate.buckets import Bucket, Throttler, class_of
from pytest_registry.gate.effects import Means
from pytest_registry.gate.fault import Scope
from pytest_registry.gate.gate import Gate
from pytest_registry.gate.in_force import ThrottleInForce
from pytest_registry.gate.log import RequestLog
from pytest_registry.gate.passing import Nothing
from pytest_registry.gate.throttle import CLASSES, NAMES, PRESETS, Throttle, throttle_of
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Request, Response
from pytest_registry.server.authentication import Account

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

WORKER = Credentials("pytest-gw1", "the run's password")
SLOW = 1000
"""Bytes per second: the blob takes longer than any test."""


def test_one_request_too_many_is_told_when_to_come_back(gated: Gated) -> None:
    with gated.throttle(read=3):
        statuses = [gated.ask("GET", gated.blob).status for _ in range(3)]
        refused = gated.ask("GET", gated.blob)
    assert statuses == [200] * 3
    assert (refused.status, refused.codes) == (429, ["TOOMANYREQUESTS"])
    told = int(refused.headers["Retry-After"])
    assert 10 < told <= 20  # seconds since the first of them
    assert gated.requests[-1].throttled
    assert gated.requests[-1].retry_after == told


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        ("spec", "application/json", "too many requests"),
        ("azure", "application/json", "Please visit https://aka.ms/acr/throttling"),
        ("docker-hub", "application/json", "You have reached your pull rate limit"),
        ("text", "text/plain; charset=utf-8", "429: the registry is busy"),
        ("html", "text/html", "<title>429</title>"),
        ("empty", None, ""),
    ],
)
def test_the_refusal_is_written_as_registries_do(
    gated: Gated, answer: str, kind: str | None, text: str
) -> None:
    with gated.throttle(read=1, answer=answer, retry_after=False):
        gated.ask("GET", gated.manifest)
        refused = gated.ask("GET", gated.manifest)
    assert (refused.status, refused.headers["Content-Type"]) == (429, kind)
    assert text in refused.body.decode()
    assert refused.headers["Retry-After"] is None


def test_each_class_has_a_bucket_of_its_own(gated: Gated) -> None:
    with gated.throttle(read=1, write=1, delete=1, referrers=1):
        digest = gated.blob.rpartition("/")[2]
        asked = [
            ("GET", gated.manifest),
            ("POST", "/v2/team/app/blobs/uploads/"),
            ("DELETE", "/v2/team/app/manifests/none"),
            ("GET", f"/v2/team/app/referrers/{digest}"),
        ]
        first = [gated.ask(*each).status for each in asked]
        second = [gated.ask(*each).status for each in asked]
    assert 429 not in first
    assert second == [429] * 4


def test_a_throttle_counts_the_requests_of_its_scope_only(gated: Gated) -> None:
    with gated.as_(WORKER).throttle(Scope("pytest-gw1"), read=1):
        assert [gated.as_(WORKER).ask("GET", gated.blob).status for _ in range(2)] == [200, 429]
        assert [gated.ask("GET", gated.blob).status for _ in range(2)] == [200, 200]


def test_each_account_has_its_share(gated: Gated) -> None:
    with gated.throttle(read_per_account=1):
        assert [gated.ask("GET", gated.blob).status for _ in range(2)] == [200, 429]
        assert gated.as_(WORKER).ask("GET", gated.blob).status == 200


@contextlib.contextmanager
def begun(gated: Gated, path: str, agent: str = "tool") -> Iterator[int]:
    """The status of a GET whose body comes as slowly as its fault says: it goes on until the end.

    Whoever has the status knows that it was let in: nothing depends on threads that overlap.
    """
    connection = http.client.HTTPConnection(gated.server.host, timeout=30)
    headers = {"Authorization": gated.credentials.basic, "User-Agent": agent}
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    try:
        yield response.status
    finally:
        response.close()
        connection.close()


def wait_for_log(gated: Gated, count: int) -> None:
    """Wait until so many requests are over."""
    deadline = time.monotonic() + 30
    while len(gated.requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("agents", ["tool", "tool {}"])
def test_more_pulls_at_once_than_the_limit_are_refused(gated: Gated, agents: str) -> None:
    with gated.throttle(pulls=2), gated.fault(on="GET blob", bandwidth=SLOW):
        for _ in range(2):
            gated.log.write_bytes(b"")
            with contextlib.ExitStack() as stack:
                statuses = [
                    stack.enter_context(begun(gated, gated.blob, agents.format(number)))
                    for number in range(4)
                ]
            assert statuses == [200, 200, 429, 429]
            wait_for_log(gated, 4)


def test_the_parts_of_one_pull_are_one_pull(gated: Gated) -> None:
    with (
        gated.throttle(pulls=1),
        gated.fault(on="GET blob", bandwidth=SLOW),
        begun(gated, gated.blob) as status,
    ):
        assert status == 200
        assert gated.ask("GET", gated.manifest, user_agent="tool").status == 200


def test_more_pushes_at_once_than_the_limit_are_refused(gated: Gated) -> None:
    connection = http.client.HTTPConnection(gated.server.host, timeout=30)
    connection.putrequest("PUT", "/v2/team/app0/manifests/latest")
    headers = {"Content-Length": "2", "Expect": "100-continue"}
    for name, value in (headers | {"Authorization": gated.credentials.basic}).items():
        connection.putheader(name, value)
    with gated.throttle(pushes=1):
        connection.endheaders()
        asked_for_its_body = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.sock.recv(len(asked_for_its_body)) == asked_for_its_body
        for number in (1, 2):
            path = f"/v2/team/app{number}/manifests/latest"
            assert gated.ask("PUT", path, b"{}").status == 429
        connection.send(b"{}")
        answer = connection.getresponse()
        assert (answer.status, answer.read() != b"") == (400, True)
        assert gated.ask("PUT", "/v2/team/app3/manifests/latest", b"{}").status == 400
    connection.close()


NO_MEANS = Means(lambda _: Response(401), lambda *_: "", lambda _: None)
"""A throttle needs none."""


class MeetingPlace(Scope):
    """Holds every request, and lets two be looked at together where that is possible."""

    both = threading.Barrier(2)

    def holds(self, account: str | None, repository: str) -> bool:
        with contextlib.suppress(threading.BrokenBarrierError):
            self.both.wait(0.2)
        return super().holds(account, repository)


def test_of_two_that_come_at_the_same_time_one_is_refused(tmp_path: Path) -> None:
    gate = Gate(Credentials("pytest", "secret"), RequestLog(tmp_path / "log"), NO_MEANS)
    gate.put("meet", ThrottleInForce(Throttler(Throttle(read=9)), MeetingPlace()))
    gate.put("limit", ThrottleInForce(Throttler(Throttle(pulls=1)), MeetingPlace()))
    answered = threading.Barrier(2)
    statuses = []

    def proceed(_: Request) -> Response:
        return Response(200)

    def ask() -> None:
        statuses.append(gate.intercept(a_request("GET", "blob"), proceed).status)
        answered.wait(30)  # neither is over before both were decided

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 429]


def test_what_one_throttle_refuses_costs_no_token_of_another(gated: Gated) -> None:
    with gated.throttle(read=2), gated.throttle(Scope("pytest-gw1"), read=1):
        worker = gated.as_(WORKER)
        assert [worker.ask("GET", gated.blob).status for _ in range(3)] == [200, 429, 429]
        assert [gated.ask("GET", gated.blob).status for _ in range(2)] == [200, 429]


def a_request(method: str, route: str) -> Request:
    """A request of the run's own account that was recognised and has no body."""
    request = Request(method, "/", "", headers={}, body=Nothing(), base_url="")
    request.route, request.account = route, Account("pytest")
    return request


def test_a_bucket_fills_up_evenly_and_holds_a_minute() -> None:
    now = [0.0]
    bucket = Bucket(60, lambda: now[0])
    for _ in range(60):
        assert bucket.missing() == 0
        bucket.take()
    assert bucket.missing() == pytest.approx(1.0)
    now[0] = 0.75
    assert bucket.missing() == pytest.approx(0.25)
    now[0] = 1000.0
    for _ in range(60):
        assert bucket.missing() == 0
        bucket.take()
    assert bucket.missing() > 0


def test_the_token_endpoint_has_a_bucket() -> None:
    request = a_request("GET", "token")
    throttler = Throttler(Throttle(token=1), clock=lambda: 0.0)
    assert class_of(request) == "token"
    assert throttler.refuse(request, [request]) is None
    throttler.take(request)
    refused = throttler.refuse(request, [request])
    assert refused is not None
    assert refused.headers["Retry-After"] == "60"


@pytest.mark.parametrize(
    ("name", "registry", "identity"),
    [
        ("azure-basic", (10_000, 2_000, 1_000, 500, 10_000), (5_000, 1_000, 500, 250, None)),
        ("azure-standard", (10_000, 2_000, 1_000, 500, 10_000), (5_000, 1_000, 500, 250, None)),
        (
            *("azure-premium", (20_000, 4_000, 4_000, 2_000, 20_000)),
            (10_000, 2_000, 2_000, 1_000, None),
        ),
    ],
)
def test_the_presets_are_azures_figures(
    name: str, registry: tuple[int, ...], identity: tuple[int | None, ...]
) -> None:
    preset = PRESETS[name]
    assert tuple(preset.per_minute(kind, each_account=False) for kind in CLASSES) == registry
    assert tuple(preset.per_minute(kind, each_account=True) for kind in CLASSES) == identity
    assert (preset.pulls, preset.pushes, preset.answer) == (10, 5, "azure")


def test_strict_is_the_runs_own_limits() -> None:
    found = throttle_of("strict", pull_limit=7, push_limit=None, answer="text")
    assert found == Throttle(pulls=7, pushes=None, answer="text")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"read": 0}, "a whole number of at least 1"),
        ({"read": True}, "a whole number of at least 1"),
        ({"pulls": 1.5}, "a whole number of at least 1"),
        ({"read": 1, "answer": "xml"}, "one of spec"),
        ({"read": 1, "answer": None}, "one of spec"),
        ({"read": 1, "retry_after": 5}, "True or False"),
        ({"read": 1, "retry_after": "no"}, "True or False"),
        ({"reads": 1}, "one of pulls, pushes, read"),
        ({"retry_after": False}, "one of pulls, pushes, read"),
        ({}, "one of pulls, pushes, read"),
    ],
)
def test_a_throttle_that_cannot_be_says_what_is_accepted(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        throttle_of(None, pull_limit=None, push_limit=None, **changes)


def test_strict_is_refused_where_the_run_has_no_limits() -> None:
    with pytest.raises(OptionError, match="no limit"):
        throttle_of("strict", pull_limit=None, push_limit=None)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match=", ".join(NAMES)):
        throttle_of("azure", pull_limit=None, push_limit=None)


def test_a_throttle_survives_as_json() -> None:
    preset = PRESETS["azure-premium"]
    assert Throttle.from_json(preset.to_json()) == preset
