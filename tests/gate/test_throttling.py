"""Throttling: buckets per class, pulls and pushes at once, and the texts that clients trip on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.errors import OptionError
from pytest_registry.gate.buckets import Bucket, Throttler, class_of
from pytest_registry.gate.fault import Scope
from pytest_registry.gate.throttle import CLASSES, NAMES, PRESETS, Throttle, throttle_of
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Request
from pytest_registry.server.authentication import Account

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

WORKER = Credentials("pytest-gw1", "the run's password")
SLOW = 256_000 * 2
"""Bytes per second: the blob takes half a second."""


def test_one_request_too_many_is_told_when_to_come_back(gated: Gated) -> None:
    with gated.throttle(read=3):
        statuses = [gated.ask("GET", gated.blob).status for _ in range(3)]
        refused = gated.ask("GET", gated.blob)
    assert statuses == [200] * 3
    assert (refused.status, refused.codes) == (429, ["TOOMANYREQUESTS"])
    assert refused.headers["Retry-After"] == "20"
    assert gated.requests[-1].throttled
    assert gated.requests[-1].retry_after == 20


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


def statuses_at_once(gated: Gated, count: int, agents: str) -> list[int]:
    """The statuses of so many slow GETs of one blob at the same time, sorted."""
    found: list[int] = []

    def pull(number: int) -> None:
        agent = agents.format(number)
        found.append(gated.ask("GET", gated.blob, user_agent=agent).status)

    threads = [threading.Thread(target=pull, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


@pytest.mark.parametrize("agents", ["tool", "tool {}"])
def test_more_pulls_at_once_than_the_limit_are_refused(gated: Gated, agents: str) -> None:
    with gated.throttle(pulls=2), gated.fault(on="GET blob", bandwidth=SLOW):
        assert statuses_at_once(gated, 4, agents) == [200, 200, 429, 429]
        assert statuses_at_once(gated, 2, agents) == [200, 200]


def test_the_parts_of_one_pull_are_one_pull(gated: Gated) -> None:
    other = "/v2/team/app/manifests/latest"
    with gated.throttle(pulls=1), gated.fault(on="GET blob", bandwidth=SLOW):
        pulling = threading.Thread(target=gated.ask, args=("GET", gated.blob))
        pulling.start()
        while pulling.is_alive():
            assert gated.ask("GET", other).status == 200
        pulling.join()


def test_more_pushes_at_once_than_the_limit_are_refused(gated: Gated) -> None:
    found: list[int] = []

    def push(number: int) -> None:
        path = f"/v2/team/app{number}/manifests/latest"
        found.append(gated.ask("PUT", path, b"{}").status)

    with gated.throttle(pushes=1), gated.fault(on="PUT manifest", delay=0.5):
        threads = [threading.Thread(target=push, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [400, 429, 429]


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
    request = Request("GET", "/oauth2/token", "", headers={}, body=None, base_url="")  # type: ignore[arg-type]
    request.route, request.account = "token", Account("pytest")
    throttler = Throttler(Throttle(token=1), clock=lambda: 0.0)
    assert class_of(request) == "token"
    assert throttler.refuse(request, [request]) is None
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
