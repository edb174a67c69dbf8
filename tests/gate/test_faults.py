"""Each fault, seen by a client that takes every byte as it comes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.gate.fault import Scope
from pytest_registry.oci.media_types import OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.security.credentials import Credentials

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

LENGTH = 256_000
WORKER = Credentials("pytest-gw1", "the run's password")
OTHER = Credentials("somebody", "another password")
RUN = Credentials("pytest", "the run's password")


def test_without_a_fault_everything_is_as_it_was(gated: Gated) -> None:
    answer = gated.ask("GET", gated.blob)
    assert (answer.status, len(answer.body), answer.broke) == (200, LENGTH, "")


@pytest.mark.parametrize(
    ("fault", "status", "kind", "code"),
    [
        ({"status": 503}, 503, "application/json", "UNKNOWN"),
        ({"status": 429}, 429, "application/json", "TOOMANYREQUESTS"),
        ({"status": 429, "answer": "azure"}, 429, "application/json", "TOOMANYREQUESTS"),
        ({"status": 429, "answer": "docker-hub"}, 429, "application/json", "TOOMANYREQUESTS"),
        ({"status": 403}, 403, "application/json", "DENIED"),
        ({"status": 429, "answer": "text"}, 429, "text/plain; charset=utf-8", None),
        ({"status": 502, "answer": "html"}, 502, "text/html", None),
        ({"status": 500, "answer": "empty"}, 500, None, None),
    ],
)
def test_a_status_comes_with_a_body_in_every_style(
    gated: Gated, fault: dict[str, Any], status: int, kind: str | None, code: str | None
) -> None:
    with gated.fault(on="GET blob", **fault):
        answer = gated.ask("GET", gated.blob)
    assert (answer.status, answer.headers["Content-Type"]) == (status, kind)
    assert code is None or answer.codes == [code]
    assert gated.ask("GET", gated.blob).status == 200


def test_a_refusal_takes_a_body_headers_and_retry_after_of_ones_own(gated: Gated) -> None:
    headers = {"X-Reason": "test", "Content-Type": "text/x-own"}
    with gated.fault(status=503, body="gone fishing", headers=headers, retry_after=7):
        answer = gated.ask("GET", gated.blob)
    assert answer.body == b"gone fishing"
    assert answer.headers["X-Reason"] == "test"
    assert answer.headers["Content-Type"] == "text/x-own"
    assert answer.headers["Retry-After"] == "7"


def test_a_connection_is_reset_before_the_answer(gated: Gated) -> None:
    with gated.fault(on="GET blob", reset="before"), pytest.raises(ConnectionResetError):
        gated.ask("GET", gated.blob)
    assert gated.requests[-1].status == 0


@pytest.mark.parametrize("place", ["middle", 1000])
def test_a_connection_is_reset_within_the_body(gated: Gated, place: str | int) -> None:
    with gated.fault(on="GET blob", reset=place) as fault:
        answer = gated.ask("GET", gated.blob)
    assert (answer.status, answer.broke) == (200, "was reset")
    assert fault.hits == 1
    assert gated.requests[-1].bytes_out == (LENGTH // 2 if place == "middle" else place)


def test_an_upload_is_reset_after_a_part_of_it(gated: Gated) -> None:
    content = b"x" * LENGTH
    path = f"/v2/team/app/blobs/uploads/?digest={digest_of(content)}"
    with (
        gated.fault(on="POST upload", reset="middle"),
        pytest.raises((ConnectionError, http.client.HTTPException)),
    ):
        gated.ask("POST", path, content)
    assert gated.requests[-1].bytes_in == LENGTH // 2
    assert gated.ask("HEAD", f"/v2/team/app/blobs/{digest_of(content)}").status == 404


@pytest.mark.parametrize("place", ["middle", 1000])
def test_a_body_is_truncated(gated: Gated, place: str | int) -> None:
    with gated.fault(on="blob", truncate=place):
        answer = gated.ask("GET", gated.blob)
    assert answer.headers["Content-Length"] == str(LENGTH)
    assert (len(answer.body), answer.broke) == (
        LENGTH // 2 if place == "middle" else place,
        "ended early",
    )


def test_one_byte_of_a_body_is_wrong(gated: Gated) -> None:
    right = gated.ask("GET", gated.blob).body
    with gated.fault(on="GET blob", corrupt=True):
        wrong = gated.ask("GET", gated.blob).body
    assert len(wrong) == len(right)
    assert sum(one != other for one, other in zip(right, wrong, strict=True)) == 1


def test_a_manifest_is_cut_and_corrupted_too(gated: Gated) -> None:
    right = gated.ask("GET", gated.manifest).body
    with gated.fault(on="manifest", truncate="middle"):
        assert gated.ask("GET", gated.manifest).body == right[: len(right) // 2]
    with gated.fault(on="manifest", corrupt=True):
        assert gated.ask("GET", gated.manifest).body != right


@pytest.mark.parametrize(("by", "got"), [(-1000, LENGTH - 1000), (1000, LENGTH)])
def test_the_content_length_is_wrong(gated: Gated, by: int, got: int) -> None:
    with gated.fault(on="GET blob", content_length=by):
        answer = gated.ask("GET", gated.blob)
    assert answer.headers["Content-Length"] == str(LENGTH + by)
    assert len(answer.body) == got


def test_the_digest_header_is_wrong(gated: Gated) -> None:
    with gated.fault(on="HEAD manifest", wrong_digest=True):
        answer = gated.ask("HEAD", gated.manifest)
    right = gated.ask("HEAD", gated.manifest).headers["Docker-Content-Digest"]
    assert answer.headers["Docker-Content-Digest"].startswith("sha256:0000")
    assert answer.headers["Docker-Content-Digest"] != right


def test_an_answer_is_delayed(
    gated: Gated, seconds: Callable[[Callable[[], object]], float]
) -> None:
    with gated.fault(on="HEAD blob", delay=0.2):
        assert seconds(lambda: gated.ask("HEAD", gated.blob)) >= 0.2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_travels_no_faster_than_its_bandwidth(
    gated: Gated, seconds: Callable[[Callable[[], object]], float], method: str
) -> None:
    content = b"y" * LENGTH
    path = f"/v2/team/app/blobs/uploads/?digest={digest_of(content)}"

    def transfer() -> None:
        answer = gated.ask(method, *((gated.blob,) if method == "GET" else (path, content)))
        assert answer.status in (200, 201)

    with gated.fault(on=method, bandwidth=1_000_000):
        assert seconds(transfer) >= 0.25


def test_a_token_expires_now_and_another_one_is_taken(gated: Gated) -> None:
    with gated.fault(on="GET blob", expire_token=True) as fault:
        first = gated.ask("GET", gated.blob)
        assert gated.ask("GET", gated.blob).status == 200
    assert (first.status, first.codes) == (401, ["UNAUTHORIZED"])
    assert first.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert fault.hits == 1


def test_a_login_is_asked_for_once(gated: Gated) -> None:
    with gated.fault(status=401, times=1):
        answers = [gated.ask("GET", gated.blob) for _ in range(2)]
    assert [each.status for each in answers] == [401, 200]
    assert (
        answers[0].headers["WWW-Authenticate"] == 'Basic realm="pytest-registry", charset="UTF-8"'
    )


def test_a_blob_is_fetched_from_another_host_without_the_login(gated: Gated) -> None:
    with gated.fault(on="GET blob", redirect=True):
        answer = gated.ask("GET", gated.blob)
        assert answer.status == 307
        host, _, path = answer.headers["Location"].partition("://")[2].partition("/")
        assert host != gated.server.host
        fetched = gated.ask("GET", f"/{path}", host=host, login="")
        part = gated.ask("GET", f"/{path}", host=host, login="", range="bytes=0-9")
        refused = gated.ask("GET", f"/{path}", host=host)
        unsigned = gated.ask("GET", f"/{path.partition('?')[0]}", host=host, login="")
    assert (fetched.status, digest_of(fetched.body)) == (200, gated.blob.rpartition("/")[2])
    assert (part.status, len(part.body)) == (206, 10)
    assert (refused.status, unsigned.status) == (400, 403)


def test_what_another_host_was_given_to_serve_goes_with_the_fault(gated: Gated) -> None:
    with gated.fault(on="GET blob", redirect=True):
        with gated.fault(on="GET blob", redirect=True):
            inner = gated.ask("GET", gated.blob).headers["Location"]
        outer = gated.ask("GET", gated.blob).headers["Location"]
        statuses = []
        for url in (inner, outer):
            host, _, path = url.partition("://")[2].partition("/")
            statuses.append(gated.ask("GET", f"/{path}", host=host, login="").status)
    assert statuses == [403, 200]
    assert gated.ask("GET", f"/{path}", host=host, login="").status == 403


@pytest.mark.parametrize(
    ("host", "query"), [("http://127.0.0.1:9/store/", ""), ("http://127.0.0.1:9/store", "?sig=x")]
)
def test_a_blob_is_redirected_to_a_host_of_ones_own(gated: Gated, host: str, query: str) -> None:
    with gated.fault(on="blob", redirect=host + query):
        location = gated.ask("GET", gated.blob).headers["Location"]
    assert location == f"http://127.0.0.1:9/store{gated.blob}{query}"


def test_neither_login_nor_query_of_such_a_host_is_told(gated: Gated) -> None:
    url = "https://user:s3cret@host.test:8443/path?sig=s3cret"
    with gated.fault(on="blob", redirect=url) as fault:
        assert gated.ask("GET", gated.blob).headers["Location"].startswith("https://user:s3cret@")
        assert "s3cret" not in repr(fault)
    assert gated.requests[-1].fault == "fault: redirect https://host.test:8443"


@pytest.mark.parametrize(("accept", "status"), [("*/*", 404), (OCI_MANIFEST, 200)])
def test_an_oci_manifest_is_not_found_without_its_type_in_accept(
    gated: Gated, accept: str, status: int
) -> None:
    with gated.fault(require_oci_accept=True) as fault:
        answer = gated.ask("GET", gated.manifest, accept=accept)
    assert answer.status == status
    assert fault.hits == (status == 404)
    if status == 404:
        (error,) = json.loads(answer.body)["errors"]
        assert error["code"] == "MANIFEST_UNKNOWN"
        assert "accept header does not support OCI manifests" in error["message"]


# Which requests ---------------------------------------------------------------------------------


def test_only_the_second_get_of_a_blob_fails(gated: Gated) -> None:
    with gated.fault(on="GET blob", nth=2, status=500) as fault:
        gated.ask("HEAD", gated.blob)
        gated.ask("GET", gated.manifest)
        statuses = [gated.ask("GET", gated.blob).status for _ in range(3)]
        assert (fault.matched, fault.hits) == (3, 1)
    assert statuses == [200, 500, 200]
    assert (fault.matched, fault.hits) == (3, 1)


def test_the_first_three_fail(gated: Gated) -> None:
    with gated.fault(times=3, status=500):
        assert [gated.ask("GET", gated.blob).status for _ in range(5)] == [500] * 3 + [200] * 2


def test_a_share_fails_and_the_same_seed_gives_the_same_share(gated: Gated) -> None:
    draws = []
    for seed in (1, 1, 2):
        with gated.fault(probability=0.5, seed=seed, status=500):
            draws.append([gated.ask("HEAD", gated.manifest).status for _ in range(24)])
    assert draws[0] == draws[1] != draws[2]
    assert set(draws[0]) == {200, 500}


@pytest.mark.parametrize(
    ("given", "met"),
    [
        ({"on": "manifest"}, False),
        ({"on": "DELETE"}, False),
        ({"repository": "team/*"}, True),
        ({"repository": "team"}, False),
        ({"reference": "sha256:*"}, True),
        ({"reference": "latest"}, False),
    ],
)
def test_a_fault_meets_what_it_names(gated: Gated, given: dict[str, Any], met: bool) -> None:
    with gated.fault(status=500, **given):
        assert (gated.ask("GET", gated.blob).status == 500) is met


def test_a_request_without_a_login_is_none_that_counts(gated: Gated) -> None:
    with gated.fault(on="GET blob", nth=1, status=500):
        assert gated.ask("GET", gated.blob, login="").status == 401
        assert gated.ask("GET", gated.blob).status == 500


def test_workers_do_not_meet_each_others_faults(gated: Gated) -> None:
    scope = Scope("pytest-gw1", "test-mine-1")
    with gated.as_(WORKER).fault(scope, status=500):
        assert gated.as_(WORKER).ask("GET", gated.blob).status == 500
        assert gated.ask("GET", gated.blob).status == 200
        assert gated.as_(OTHER).ask("GET", "/v2/test-mine-1/x/manifests/1").status == 500
        assert gated.as_(OTHER).ask("GET", "/v2/test-mine-12/x/manifests/1").status == 404
