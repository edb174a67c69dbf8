"""What goes wrong between client and registry: a script plays the registry."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_registry.clients.http import is_loopback, proxy_for
from pytest_registry.clients.oci import OciClient
from pytest_registry.clients.retries import Pace, RetryPolicy
from pytest_registry.errors import (
    ProtocolError,
    RateLimited,
    RegistryError,
    TransferError,
)
from pytest_registry.oci.names import digest_of
from tests.clients.conftest import in_turn

if TYPE_CHECKING:
    from tests.clients.conftest import Reply, Script, ScriptedServer, Seen

Start = Callable[["Script"], "ScriptedServer"]
Connect = Callable[..., OciClient]

BLOB = bytes(range(256)) * 5000
DIGEST = digest_of(BLOB)
TAGS = b'{"tags": ["1"]}'


Ask = Callable[["Script"], tuple[OciClient, "ScriptedServer"]]


# Too many requests ------------------------------------------------------------------------------


def test_429_is_waited_for(ask: Ask, reply: type[Reply]) -> None:
    client, server = ask(
        in_turn(
            reply(429, {"Retry-After": "0"}), reply(429, {"Retry-After": "0"}), reply(200, {}, TAGS)
        )
    )
    assert client.tags("a") == ["1"]
    assert len(server.seen) == 3


def test_429_is_waited_for_even_where_nothing_may_be_sent_twice(
    ask: Ask, reply: type[Reply]
) -> None:
    def script(seen: Seen) -> Reply:
        if seen.method == "HEAD":
            return reply(404)
        if len(server.asked(seen.method)) == 1:
            return reply(429, {"Retry-After": "0"})
        return reply(202, {"Location": "/up"}) if seen.method == "POST" else reply(201)

    client, server = ask(script)
    client.put_blob("a", BLOB)
    methods = [each.method for each in server.seen]
    assert methods == ["HEAD", "POST", "POST", "PUT", "PUT"]
    assert server.asked("PUT")[-1].body == BLOB


@pytest.mark.parametrize("value", ["3600", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_limit_that_lasts_longer_than_the_patience_is_told_at_once(
    ask: Ask, reply: type[Reply], value: str
) -> None:
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}).encode()
    client, server = ask(in_turn(reply(429, {"Retry-After": value}, body)))
    with pytest.raises(RateLimited, match=r"slow down(.|\n)*try again after") as caught:
        client.tags("a")
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 3600
    assert len(server.seen) == 1


def test_a_limit_that_never_ends_is_given_up_and_its_body_may_be_anything(
    ask: Ask, reply: type[Reply]
) -> None:
    client, server = ask(in_turn(reply(429, {"Retry-After": "0"}, b"<html>busy</html>")))
    with pytest.raises(RateLimited, match="busy") as caught:
        client.tags("a")
    assert caught.value.retry_after == 0
    assert 2 < len(server.seen) < 50


def test_waiting_is_bounded_and_grows_where_the_server_does_not_say_how_long() -> None:
    waited: list[float] = []
    pace = Pace(RetryPolicy(patience=10.0), waited.append)
    while pace.after_busy(None):
        pass
    assert sum(waited) <= 10.0
    assert 0.5 <= waited[0] <= 1.0 <= waited[1] <= 2.0 <= waited[2] <= 4.0


def test_failures_are_tried_again_after_growing_delays() -> None:
    waited: list[float] = []
    pace = Pace(RetryPolicy(tries=4, delay=0.1), waited.append)
    while pace.after_failure():
        pass
    assert waited == pytest.approx([0.1, 0.4, 1.6])


# Failures of the server and the connection ------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failing_server_is_asked_again(ask: Ask, reply: type[Reply], status: int) -> None:
    client, server = ask(in_turn(reply(status), reply(0), reply(200, {}, TAGS)))
    assert client.tags("a") == ["1"]
    assert len(server.seen) == 3


def test_a_server_that_goes_on_failing_is_given_up(ask: Ask, reply: type[Reply]) -> None:
    body = b'{"errors": [{"code": "UNKNOWN", "message": "disk full"}]}'
    client, server = ask(in_turn(reply(500, {}, body)))
    with pytest.raises(
        ProtocolError, match="500 Internal Server Error: UNKNOWN: disk full"
    ) as caught:
        client.tags("a")
    assert (caught.value.status, caught.value.codes) == (500, ("UNKNOWN",))
    assert len(server.seen) == 3


def test_a_server_that_never_answers_is_given_up(ask: Ask, reply: type[Reply]) -> None:
    client, server = ask(in_turn(reply(0)))
    with pytest.raises(ProtocolError, match="ended the connection") as caught:
        client.tags("a")
    assert caught.value.status is None
    assert len(server.seen) == 3


def test_an_upload_that_breaks_is_begun_anew(ask: Ask, reply: type[Reply]) -> None:
    def script(seen: Seen) -> Reply:
        if seen.method in ("HEAD", "DELETE"):
            return reply(404)
        if seen.method == "POST":
            return reply(202, {"Location": f"/up/{len(server.asked('POST'))}"})
        return (
            reply(201) if seen.path.startswith("/up/3") else reply(0 if "/1" in seen.path else 503)
        )

    client, server = ask(script)
    client.put_blob("a", BLOB)
    assert [each.path.partition("?")[0] for each in server.asked("PUT")] == [
        "/up/1",
        "/up/2",
        "/up/3",
    ]
    assert {each.body for each in server.asked("PUT")} == {BLOB}


def test_an_upload_that_is_given_up_is_cancelled(ask: Ask, reply: type[Reply]) -> None:
    replies = {
        "HEAD": reply(404),
        "POST": reply(202, {"Location": "/up/1"}),
        "PUT": reply(400),
        "DELETE": reply(204),
    }
    client, server = ask(lambda seen: replies[seen.method])
    with pytest.raises(ProtocolError):
        client.put_blob("a", BLOB)
    assert [each.path for each in server.asked("DELETE")] == ["/up/1"]


def test_an_upload_without_a_location_is_an_error(ask: Ask, reply: type[Reply]) -> None:
    client, _ = ask(lambda seen: reply(404 if seen.method == "HEAD" else 202))
    with pytest.raises(ProtocolError, match="no Location"):
        client.put_blob("a", BLOB)


def test_a_download_that_breaks_goes_on_where_it_broke(ask: Ask, reply: type[Reply]) -> None:
    whole = {"Content-Length": str(len(BLOB))}

    def script(seen: Seen) -> Reply:
        wanted = seen.headers.get("range")
        if wanted is None:
            return reply(200, whole, BLOB[:700_000], drop=True)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start < 1_000_000:
            rest = {"Content-Length": str(len(BLOB) - start)}
            return reply(206, rest, BLOB[start : start + 300_000], drop=True)
        return reply(206, {}, BLOB[start:])

    client, server = ask(script)
    with client.blob("a", DIGEST) as stream:
        assert stream.read() == BLOB
    assert len(server.seen) == 3


def test_a_download_that_breaks_goes_on_where_ranges_are_ignored(
    ask: Ask, reply: type[Reply]
) -> None:
    """A server MAY ignore the Range header field (RFC 9110, section 14.2)."""
    whole = {"Content-Length": str(len(BLOB))}
    broken = [reply(200, whole, BLOB[:until], drop=True) for until in (700_000, 100_000)]
    client, server = ask(in_turn(*broken, reply(200, whole, BLOB)))
    with client.blob("a", DIGEST) as stream:
        assert stream.read() == BLOB
    assert len(server.seen) == 3


def test_a_download_that_breaks_for_good_is_an_error(ask: Ask, reply: type[Reply]) -> None:
    headers = {"Content-Length": str(len(BLOB))}
    client, _ = ask(in_turn(reply(200, headers, BLOB[:1000], drop=True), reply(416)))
    with client.blob("a", DIGEST) as stream, pytest.raises(TransferError):
        stream.read()


# Redirects --------------------------------------------------------------------------------------


def test_redirects_without_end_are_an_error(ask: Ask, reply: type[Reply]) -> None:
    client, server = ask(in_turn(reply(307, {"Location": "/v2/again"})))
    with pytest.raises(RegistryError, match="redirects"):
        client.tags("a")
    assert len(server.seen) < 50


@pytest.mark.parametrize("location", ["ftp://h/x", "file:///etc/passwd", ""])
def test_a_redirect_to_something_else_than_http_is_not_followed(
    ask: Ask, reply: type[Reply], location: str
) -> None:
    client, _ = ask(in_turn(reply(302, {"Location": location} if location else {})))
    with pytest.raises(ProtocolError, match="302"):
        client.tags("a")


def test_a_body_follows_a_redirect_that_keeps_it(ask: Ask, reply: type[Reply]) -> None:
    def script(seen: Seen) -> Reply:
        if seen.method == "HEAD":
            return reply(404)
        if seen.method == "POST":
            return reply(202, {"Location": "up"})  # relative to /v2/a/blobs/uploads/
        return reply(201) if "moved" in seen.path else reply(307, {"Location": "/moved"})

    client, server = ask(script)
    client.put_blob("a", BLOB)
    assert server.asked("PUT")[0].path.startswith("/v2/a/blobs/uploads/up?digest=")
    assert server.asked("PUT", "/moved")[0].body == BLOB


# No registry there ------------------------------------------------------------------------------


def test_a_refused_connection_says_what_to_do_at_once(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    client = connect(url, retries=RetryPolicy(tries=5, delay=60.0))
    with pytest.raises(
        TransferError, match=r"Connection refused(.|\n)*check that the registry runs"
    ):
        client.ping()


def test_a_host_that_does_not_exist_is_told(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(TransferError, match=r"no connection to http://registry\.invalid"):
        connect("http://registry.invalid").ping()


def test_plain_http_behind_an_https_address_is_told(
    ask: Ask, connect: Connect, reply: type[Reply]
) -> None:
    _, server = ask(in_turn(reply(200)))
    with pytest.raises(TransferError, match=r"TLS with https://127(.|\n)*ca_file"):
        connect(server.url.replace("http:", "https:")).ping()


# Connections ------------------------------------------------------------------------------------


def test_a_connection_is_kept_over_many_requests(
    scripted: Start, connect: Connect, reply: type[Reply]
) -> None:
    server = scripted(in_turn(reply(200, {}, TAGS)))
    client = connect(server.url)
    for _ in range(10):
        client.tags("a")
    assert len({each.client for each in server.seen}) == 1


def test_every_request_names_the_client(ask: Ask, reply: type[Reply]) -> None:
    client, server = ask(in_turn(reply(200, {}, TAGS)))
    client.tags("a")
    assert server.seen[0].headers["user-agent"] == "pytest-registry"
    assert (
        "accept-encoding" not in server.seen[0].headers
        or server.seen[0].headers["accept-encoding"] == "identity"
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("registry.localhost", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
        (None, False),
    ],
)
def test_this_machine_is_known(host: str | None, expected: bool) -> None:
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("http://127.0.0.1:5000/", {"http_proxy": "http://p:1"}, None),
        ("http://[::1]:5000/", {"http_proxy": "http://p:1"}, None),
        ("https://localhost/", {"https_proxy": "http://p:1", "all_proxy": "http://p:2"}, None),
        ("http://h.example/", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("https://h.example/", {"http_proxy": "http://p:1"}, None),
        ("https://h.example/", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://h.example/", {"all_proxy": "http://p:1"}, "http://p:1"),
        ("https://h.example/", {"https_proxy": "http://p:1", "no_proxy": ".example"}, None),
    ],
)
def test_proxies_are_the_environments_but_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], expected: str | None
) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(urlsplit(url)) == expected


def test_a_proxy_is_used_with_its_login(
    scripted: Start, connect: Connect, reply: type[Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = scripted(in_turn(reply(200, {}, TAGS)))
    monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://u:p%40@"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert connect("http://registry.invalid").tags("a") == ["1"]
    (seen,) = proxy.seen
    assert seen.path == "http://registry.invalid/v2/a/tags/list"
    assert seen.headers["proxy-authorization"] == "Basic dTpwQA=="


def test_a_closed_client_closes_its_connections_and_may_be_used_again(
    ask: Ask, reply: type[Reply]
) -> None:
    client, _ = ask(in_turn(reply(200, {}, TAGS)))
    client.tags("a")
    client.close()
    client.close()
    assert client.tags("a") == ["1"]


def test_a_timeout_is_the_readers_and_waited_for_once(scripted: Start, reply: type[Reply]) -> None:
    over = threading.Event()

    def script(_: Seen) -> Reply:
        over.wait(30)
        return reply(200)

    server = scripted(script)
    with (
        OciClient(server.url, timeout=1.0) as client,
        pytest.raises(ProtocolError, match=r"did not answer in time .*timed out"),
    ):
        client.ping()
    over.set()
    assert len(server.seen) == 1, "it was waited for again"


@pytest.mark.parametrize(
    ("named", "sent"),
    [({}, "pytest-registry"), ({"user_agent": "my-suite/2"}, "my-suite/2")],
    ids=["by default", "as asked for"],
)
def test_the_client_names_itself_in_every_request(
    scripted: Start,
    reply: type[Reply],
    named: dict[str, Any],
    sent: str,
) -> None:
    server = scripted(in_turn(reply()))
    with OciClient(server.url, **named) as client:
        client.ping()
    assert [each.headers["user-agent"] for each in server.seen] == [sent]
