"""The list of requests: what it finds, and how its assertions explain themselves."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_registry.errors import OptionError
from pytest_registry.gate.log import RequestLog, line_of
from pytest_registry.report.model import traffic_figures
from pytest_registry.report.requests import Requests
from pytest_registry.report.terminal import traffic_line
from pytest_registry.report.traffic import LoggedRequest, read_from, read_last, read_requests
from pytest_registry.server import RequestRecord

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def logged(asked: str, status: int = 200, **members: Any) -> LoggedRequest:
    """A request such as `GET app blob REFERENCE`."""
    method, repository, route, reference = asked.split()
    plain: dict[str, Any] = {
        "method": method,
        "route": route,
        "path": f"/v2/{repository}/{route}s/{reference}",
        "repository": repository,
        "reference": reference,
        "status": status,
        "bytes_in": 0,
        "bytes_out": 0,
        "started": 100.0,
        "seconds": 0.5,
        "user_agent": "tool/1",
        "account": "pytest",
        "worker": "main",
    }
    return LoggedRequest(**{**plain, **members})


PULL = (logged("GET app manifest latest"), logged(f"GET app blob {ONE}"))
HEAD = logged(f"HEAD app blob {ONE}", 404)
PUT = logged("PUT app upload 1", 201, digest=ONE)
MOUNT = logged("POST app upload -", 201, digest=ONE, mounted_from="samples/nginx")
REFUSED = logged("GET app manifest latest", 429, retry_after=2.0)


def back(seconds: float, **members: Any) -> LoggedRequest:
    return logged("GET app manifest latest", started=REFUSED.ended + seconds, **members)


REDIRECTS = (301, 302, 303, 307, 308)
PART = logged("PATCH app upload 1", 202, bytes_in=5)
AGAIN = logged("PATCH app upload 2", 202, bytes_in=5)
FINISHED = logged("PUT app upload 2", 201, digest=ONE)
PATCH = logged("PATCH app upload one", 429, retry_after=5.0, bytes_in=5)
POST = logged("POST app upload -", 429, retry_after=5.0, digest=ONE)


def upload(method: str, name: str, seconds: float, **members: Any) -> LoggedRequest:
    """A request of an upload, so long after PATCH or POST was refused."""
    return logged(f"{method} app upload {name}", 202, started=PATCH.ended + seconds, **members)


Check = Callable[[Requests], None]


def pulled(requests: Requests) -> None:
    requests.assert_pulled_once("app", "latest")


def once(requests: Requests) -> None:
    requests.assert_no_layer_uploaded_twice()


def head_first(requests: Requests) -> None:
    requests.assert_head_before_put()


def mounted(requests: Requests) -> None:
    requests.assert_mounted_from("samples/nginx")


def backed_off(requests: Requests) -> None:
    requests.assert_backed_off()


@pytest.mark.parametrize(
    ("check", "requests"),
    [
        (pulled, PULL),
        (pulled, (*PULL, logged("GET app manifest latest"))),
        (pulled, (*PULL, logged(f"GET other blob {ONE}"))),
        (pulled, (logged(f"GET app blob {ONE}", 503), *PULL)),
        *((pulled, (PULL[0], logged(f"GET app blob {ONE}", status))) for status in REDIRECTS),
        (pulled, (*PULL, logged(f"GET app blob {ONE}", 206))),
        (once, ()),
        (once, (PUT, MOUNT)),
        (once, (PUT, logged("PUT app upload 2", 503, digest=ONE))),
        (once, (PART, logged("PUT app upload 1", 503, digest=ONE), PUT)),
        (once, (logged("POST app upload -", 202, digest=ONE), PUT)),
        (head_first, (HEAD, PUT)),
        (head_first, (MOUNT,)),
        (mounted, (MOUNT,)),
        (backed_off, (REFUSED, back(2.0))),
        (backed_off, (REFUSED, back(0.1, user_agent="other/1"), back(2.5))),
        (backed_off, (REFUSED,)),
        (backed_off, (back(-0.505), REFUSED, back(2.0))),
        (backed_off, (REFUSED, back(0.1, status=429, retry_after=2.0), back(2.1), back(2.7))),
        (backed_off, (REFUSED, back(1.9, status=429, retry_after=2.0), back(2.0), back(4.5))),
        (backed_off, (PATCH, upload("PATCH", "other", 0.1), upload("POST", "-", 5.0))),
        (backed_off, (PATCH, upload("DELETE", "one", 0.1))),
        (backed_off, (POST, upload("POST", "-", 0.1, digest=TWO))),
    ],
)
def test_an_assertion_holds(check: Check, requests: tuple[LoggedRequest, ...]) -> None:
    check(Requests(requests))


@pytest.mark.parametrize(
    ("check", "requests", "says"),
    [
        (pulled, (), "app:latest was not pulled"),
        (pulled, (logged("GET app manifest other"),), "app:latest was not pulled"),
        (pulled, (*PULL, PULL[1]), f"not pulled exactly once: {ONE} 2 times"),
        *(
            (pulled, (*PULL, logged(f"GET app blob {ONE}", status)), f"once: {ONE} 2 times")
            for status in REDIRECTS
        ),
        (once, (PUT, logged("PUT b upload 2", 201, digest=ONE)), f"more than once: {ONE} 2 times"),
        (once, (PUT, logged("PUT app upload 1", 503, digest=ONE, bytes_in=5)), f"{ONE} 2 times"),
        (once, (PART, logged("PUT app upload 1", 503, digest=ONE), AGAIN, FINISHED), "2 times"),
        (head_first, (PUT, HEAD), f"app was sent {ONE} without a HEAD before it"),
        (head_first, (logged(f"HEAD b blob {ONE}"), PUT), "without a HEAD"),
        (mounted, (PUT,), "nothing was mounted from samples/nginx, nor from anywhere else"),
        (
            mounted,
            (logged("POST app upload -", 201, mounted_from="b"),),
            "mounted from samples/nginx, only from b",
        ),
        (backed_off, PULL, "no request was answered with Retry-After"),
        (backed_off, (REFUSED, back(0.5)), "Retry-After 2 s, and came back after 0.50 s"),
        (backed_off, (REFUSED, back(0.5, user_agent="other/1")), "came back after 0.50 s"),
        (backed_off, (REFUSED, back(0.1), back(2.0)), "came back after 0.10 s"),
        (
            backed_off,
            (REFUSED, back(0.1, status=429, retry_after=2.0), back(2.7)),
            "came back after 0.10 s",
        ),
        (
            backed_off,
            (REFUSED, back(2.0, status=429, retry_after=2.0), back(2.6)),
            "came back after 0.10 s",
        ),
        (backed_off, (PATCH, upload("PATCH", "one", 0.1)), "came back after 0.10 s"),
        (
            backed_off,
            (PATCH, upload("POST", "-", 0.1), upload("PATCH", "two", 0.7)),
            "PATCH /v2/app/uploads/one was answered 429 with Retry-After 5 s, and came back as"
            " POST /v2/app/uploads/- after 0.10 s",
        ),
        (backed_off, (POST, upload("POST", "-", 0.1, digest=ONE)), "came back after 0.10 s"),
    ],
)
def test_an_assertion_that_fails_explains_itself(
    check: Check, requests: tuple[LoggedRequest, ...], says: str
) -> None:
    with pytest.raises(AssertionError) as raised:
        check(Requests(requests))
    said = str(raised.value)
    assert says in said
    assert "what reached the registry in this test:" in said
    assert all(each.path in said for each in requests if each.repository == "app")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, 4),
        ({"on": "GET"}, 2),
        ({"on": "GET blob"}, 1),
        ({"on": "blob"}, 2),
        ({"repository": "ap*"}, 4),
        ({"reference": ONE}, 2),
        ({"status": 404}, 1),
        ({"account": "nobody"}, 0),
        ({"worker": "main"}, 4),
        ({"matching": lambda each: bool(each.digest)}, 1),
    ],
)
def test_requests_are_filtered(given: dict[str, Any], found: int) -> None:
    assert len(Requests((*PULL, HEAD, PUT)).where(**given)) == found


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        *(
            ({"on": on}, "a method (GET, HEAD, POST, PUT, PATCH, DELETE), a route (blob, ")
            for on in ("GET blobs", "get", "get blob", "GETblob", "blob manifest", "GET PUT", None)
        ),
        *(({"status": status}, "a number such as 503") for status in ("200", True, 42, 2.5)),
        ({"repository": None}, "a text"),
        ({"reference": 1}, "a tag or digest"),
        ({"account": 1}, "a text"),
        ({"worker": 0}, "such as 'gw0'"),
        ({"matching": "200"}, "a function"),
    ],
)
def test_a_filter_that_no_request_can_match_is_refused(
    given: dict[str, Any], accepted: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(accepted)) as raised:
        Requests(PULL).where(**given)
    assert repr(*given.values()) in str(raised.value)


def test_the_guilty_requests_are_marked_with_a_little_around_them() -> None:
    before = [logged(f"HEAD app blob {number}") for number in range(40)]
    after = [logged(f"GET app manifest {number}", started=200.0) for number in range(40)]
    with pytest.raises(AssertionError) as raised:
        Requests((*before, REFUSED, back(0.5), *after)).assert_backed_off()
    listed = str(raised.value).splitlines()[2:]
    assert listed[0] == "  (38 others)"
    assert [line[0] for line in listed] == [*"   >>   "]
    assert "429" in listed[3]
    assert listed[-1] == "  (38 others)"


def test_of_many_guilty_requests_the_first_are_listed() -> None:
    with pytest.raises(AssertionError) as raised:
        Requests((*PULL, *(PULL[1] for _ in range(99)))).assert_pulled_once("app")
    listed = str(raised.value).splitlines()[2:]
    assert len(listed) == 31
    assert listed[-1] == "  (71 others, 71 of which are like those with >)"


def test_the_traceback_of_a_failed_assertion_ends_in_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pytest_registry import Requests

        def test_nothing():
            Requests(()).assert_backed_off()

        def test_not_pulled():
            Requests(()).assert_pulled_once("app")
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.no_fnmatch_line("*raise AssertionError*")
    result.stdout.no_fnmatch_line("*report/requests.py*")


def test_it_is_a_sequence_that_prints_well() -> None:
    requests = Requests((REFUSED, back(2.0, bytes_out=7), MOUNT))
    assert requests.statuses == [429, 200, 201]
    assert isinstance(requests[1:], Requests)
    assert requests[0] is REFUSED
    assert requests.bytes_out == 7
    assert repr(requests) == "<3 requests>"
    assert "429" in str(requests)
    assert "(Retry-After 2 s)" in str(requests)
    assert "(mounted from samples/nginx)" in str(requests)
    assert requests.lines(1)[0] == "(2 earlier ones are not shown)"
    assert str(Requests(())) == "no requests"


def recorded(request: LoggedRequest, **changes: Any) -> RequestRecord:
    """What the server tells of a request."""
    names = [name for name in RequestRecord._fields if name != "client"]
    plain = {name: getattr(request, name) for name in names}
    return RequestRecord(**{**plain, "client": "127.0.0.1:1", **changes})


def test_a_log_is_read_again_from_where_one_was(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "requests.jsonl")
    for each in PULL:
        log.add(recorded(each), "main", {"later": "version"})
    found = list(read_from(tmp_path / "requests.jsonl", 0))
    assert [request for _, request in found] == list(PULL)
    assert list(read_from(tmp_path / "requests.jsonl", found[0][0])) == found[1:]
    with (tmp_path / "requests.jsonl").open("a") as file:
        file.write('{"half')
    assert list(read_requests(tmp_path / "requests.jsonl")) == list(PULL)
    assert list(read_requests(tmp_path / "nothing")) == []
    assert list(read_last(tmp_path / "requests.jsonl")) == list(PULL)
    assert list(read_last(tmp_path / "nothing")) == []
    assert (tmp_path / "requests.jsonl").stat().st_mode & 0o777 == 0o600
    log.close()


def test_a_line_that_a_full_disk_halved_costs_itself_and_the_next_one(tmp_path: Path) -> None:
    line = line_of(recorded(HEAD), "main", {})
    for half in (1, len(line) // 2, len(line) - 1):
        (tmp_path / "log").write_text(line + line[:half] + line + line)
        assert list(read_requests(tmp_path / "log")) == [HEAD, HEAD]
        assert list(read_last(tmp_path / "log")) == [HEAD, HEAD]


@pytest.mark.parametrize(
    "text",
    ["", '"', "\\", "\n", "\x00", "\x1b[31m", "é", "\U0001f40b", "\ud800", "</script>", "{}"],
)
def test_a_line_holds_any_text(text: str, tmp_path: Path) -> None:
    hostile = recorded(HEAD, method=text, path=text, user_agent=text, account=text, reference=text)
    (tmp_path / "log").write_text(line_of(hostile, "main", {"digest": text}))
    (found,) = read_requests(tmp_path / "log")
    assert {found.method, found.path, found.user_agent, found.account, found.digest} == {text}
    assert (found.status, found.started, found.seconds) == (404, 100.0, 0.5)


def test_of_a_long_log_only_its_end_is_read(tmp_path: Path) -> None:
    lines = [line_of(recorded(PULL[0], status=200 + number % 2), "", {}) for number in range(1000)]
    (tmp_path / "log").write_text("".join(lines))
    assert 100 < len(list(read_last(tmp_path / "log"))) < 300


def test_the_summary_counts_what_was_our_doing() -> None:
    throttled = logged("GET app manifest x", 429, fault="throttled")
    faulty = logged("GET app blob x", 503, fault="fault: status 503", bytes_out=2_000_000)
    assert traffic_line(traffic_figures((throttled, faulty, HEAD))) == (
        "3 requests, 0 B in, 2.0 MB out, 1 throttled, 1 faulty"
    )
    assert traffic_line(traffic_figures(())) == ""
