"""Several faults in force: which has its way, and which are counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.gate.fault import Fault, Scope
from pytest_registry.oci.media_types import OCI_MANIFEST

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

LENGTH = 256_000
Seconds = Callable[[Callable[[], object]], float]


@pytest.mark.parametrize(
    ("outer", "inner"), [({"status": 500}, {"delay": 0.2}), ({"delay": 0.2}, {"status": 500})]
)
def test_a_delay_goes_before_what_ends_the_request(
    gated: Gated, seconds: Seconds, outer: dict[str, Any], inner: dict[str, Any]
) -> None:
    with gated.fault(on="GET", **outer) as one, gated.fault(on="blob", **inner) as other:
        assert seconds(lambda: gated.ask("GET", gated.blob)) >= 0.2
        assert (one.hits, other.hits) == (1, 1)
    assert gated.requests[-1].status == 500
    assert gated.requests[-1].fault == "fault: delay 0.2 s; status 500"


def test_the_innermost_fault_decides_and_the_others_are_no_hits(gated: Gated) -> None:
    with gated.fault(status=503) as outer:
        with gated.fault(on="GET blob", status=500, times=1) as inner:
            statuses = [gated.ask("GET", gated.blob).status for _ in range(2)]
            assert (inner.hits, outer.hits) == (1, 1)
        assert gated.ask("GET", gated.blob).status == 503
        assert (outer.matched, outer.hits) == (3, 2)
    assert statuses == [500, 503]
    assert [each.fault for each in gated.requests] == [
        *("fault: status 500", "fault: status 503", "fault: status 503"),
    ]


def test_a_fault_counts_requests_though_another_one_ends_them(gated: Gated) -> None:
    with gated.fault(nth=2, status=502) as second, gated.fault(nth=1, status=500):
        assert [gated.ask("GET", gated.blob).status for _ in range(3)] == [500, 502, 200]
        assert (second.matched, second.hits) == (3, 1)


def test_a_token_does_not_expire_by_a_request_that_another_fault_ends(gated: Gated) -> None:
    with gated.fault(expire_token=True) as fault, gated.fault(status=500, times=1):
        assert [gated.ask("GET", gated.blob).status for _ in range(3)] == [500, 401, 200]
        assert fault.hits == 1


def test_what_changes_an_answer_changes_that_of_the_faults_before(gated: Gated) -> None:
    with gated.fault(status=503, body="0123456789") as ends, gated.fault(truncate=4) as cuts:
        answer = gated.ask("GET", gated.blob)
        assert (answer.status, answer.body, answer.broke) == (503, b"0123", "ended early")
        assert (ends.hits, cuts.hits) == (1, 1)


def test_changes_of_one_answer_come_together(gated: Gated) -> None:
    with gated.fault(wrong_digest=True) as wrong, gated.fault(truncate=1000) as cut:
        answer = gated.ask("GET", gated.blob)
        assert answer.headers["Docker-Content-Digest"].startswith("sha256:0000")
        assert (len(answer.body), wrong.hits, cut.hits) == (1000, 1, 1)


@pytest.mark.parametrize("outer", [{"reset": "before"}, {"reset": 1000}])
def test_a_connection_that_is_reset_stays_so(gated: Gated, outer: dict[str, Any]) -> None:
    with gated.fault(**outer) as reset, gated.fault(truncate=2000) as cut:
        try:
            assert gated.ask("GET", gated.blob).broke == "was reset"
        except ConnectionResetError:
            assert outer == {"reset": "before"}
            assert cut.hits == 0
        assert reset.hits == 1


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ({"truncate": LENGTH}, "blob"),
        ({"corrupt": True, "delay": 0}, "empty"),
        ({"wrong_digest": True}, "missing"),
        ({"require_oci_accept": True}, "missing"),
    ],
)
def test_a_fault_that_finds_nothing_to_change_is_no_hit(
    gated: Gated, fault: dict[str, Any], path: str
) -> None:
    paths = {
        "blob": gated.blob,
        "empty": "/v2/team/app/blobs/none",
        "missing": "/v2/team/app/manifests/missing",
    }
    with (
        gated.fault(on="GET blob", reference="none", status=500, answer="empty"),
        gated.fault(**fault) as active,
    ):
        gated.ask("GET", paths[path])
        assert (active.matched, active.hits) == (1, 0)
    assert "truncate" not in gated.requests[-1].fault
    assert gated.requests[-1].fault in ("", "fault: status 500")


def test_who_gives_up_waiting_has_met_the_fault(gated: Gated) -> None:
    """It is counted before it begins, not after it ended."""
    import http.client

    with gated.fault(on="GET blob", delay=3, corrupt=True) as fault:
        connection = http.client.HTTPConnection(gated.server.host, timeout=0.1)
        connection.request("GET", gated.blob, headers={"Authorization": gated.credentials.basic})
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
        deadline = time.monotonic() + 2
        while not fault.hits and time.monotonic() < deadline:
            time.sleep(0.01)
        assert fault.hits == 1


def test_accepting_oci_is_no_match(gated: Gated) -> None:
    with gated.control.fault(Fault(require_oci_accept=True), Scope()) as fault:
        assert gated.ask("GET", gated.manifest, accept=OCI_MANIFEST).status == 200
        assert (fault.matched, fault.hits) == (0, 0)
