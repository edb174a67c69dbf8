"""The list of requests: what it finds, and how its assertions explain themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        (pulled, (PULL[0], logged(f"GET app blob {ONE}", 307))),
        (once, ()),
        (once, (PUT, MOUNT)),
        (once, (PUT, logged("PUT app upload 2", 503, digest=ONE))),
        (head_first, (HEAD, PUT)),
        (head_first, (MOUNT,)),
        (mounted, (MOUNT,)),
        (backed_off, (REFUSED, back(2.0))),
        (backed_off, (REFUSED, back(0.1, user_agent="other/1"), back(2.5))),
        (backed_off, (REFUSED,)),
        (backed_off, (back(-0.505), REFUSED, back(2.0))),
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
        (once, (PUT, logged("PUT b upload 2", 201, digest=ONE)), f"more than once: {ONE} 2 times"),
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
