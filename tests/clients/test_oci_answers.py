"""Answers that are not what was asked for: a script plays the registry."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import (
    AuthenticationFailed,
    ImageNotFound,
    ProtocolError,
    PullError,
    RateLimited,
    RegistryError,
)
from pytest_registry.oci.media_types import OCI_INDEX
from pytest_registry.oci.names import digest_of
from tests.clients.conftest import in_turn

if TYPE_CHECKING:
    from tests.clients.conftest import Reply, Script, ScriptedServer

BLOB = bytes(range(256)) * 5000
DIGEST = digest_of(BLOB)
TAGS = b'{"tags": ["1"]}'

Ask = Callable[["Script"], tuple[OciClient, "ScriptedServer"]]


@pytest.mark.parametrize("content", [BLOB[:-1] + b"?", b"", BLOB + b"more"])
def test_other_content_than_the_digests_is_refused(
    ask: Ask, reply: type[Reply], content: bytes
) -> None:
    client, _ = ask(in_turn(reply(200, {}, content)))
    with client.blob("a", DIGEST) as stream, pytest.raises(PullError, match="its digest is"):
        stream.read()
    with pytest.raises(PullError):
        client.blob("a", DIGEST, size=len(BLOB)).read()


def test_the_last_block_of_other_content_is_never_given_out(ask: Ask, reply: type[Reply]) -> None:
    content = BLOB[:-1] + b"?"
    client, _ = ask(in_turn(reply(200, {}, content)))
    received: list[bytes] = []
    with client.blob("a", DIGEST) as stream, pytest.raises(PullError):
        received.extend(iter(lambda: stream.read(100_000), b""))
    assert len(b"".join(received)) < len(content)


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({}, f"sha256:{'0' * 64}"),
        ({"Docker-Content-Digest": f"sha256:{'0' * 64}"}, "tag"),
        ({"Docker-Content-Digest": f"sha512:{'0' * 128}"}, "tag"),
    ],
)
def test_a_manifest_of_another_digest_is_refused(
    ask: Ask, reply: type[Reply], headers: dict[str, str], target: str
) -> None:
    body = b'{"schemaVersion": 2, "manifests": []}'
    client, _ = ask(in_turn(reply(200, {"Content-Type": OCI_INDEX, **headers}, body)))
    with pytest.raises(PullError, match="its digest is"):
        client.manifest("a", target)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (OCI_INDEX, b"no JSON"),
        (OCI_INDEX, b'{"schemaVersion": 1, "manifests": []}'),
        (OCI_INDEX, b'{"schemaVersion": 2, "mediaType": "other/type", "manifests": []}'),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    ask: Ask, reply: type[Reply], kind: str, body: bytes
) -> None:
    client, _ = ask(in_turn(reply(200, {"Content-Type": kind}, body)))
    with pytest.raises(ProtocolError, match="not valid"):
        client.manifest("a", "1")


def test_a_manifest_without_limits_is_refused(ask: Ask, reply: type[Reply]) -> None:
    client, _ = ask(in_turn(reply(200, {"Content-Type": OCI_INDEX}, b" " * (17 << 20))))
    with pytest.raises(ProtocolError, match="larger than"):
        client.manifest("a", "1")


def test_the_content_types_parameters_and_a_missing_digest_do_not_matter(
    ask: Ask, reply: type[Reply]
) -> None:
    body = b'{"schemaVersion": 2, "manifests": []}'
    client, server = ask(in_turn(reply(200, {"Content-Type": f"{OCI_INDEX}; charset=x"}, body)))
    found = client.head("a", "1")
    assert found is not None
    assert (found.media_type, found.digest) == (OCI_INDEX, digest_of(body))
    assert [each.method for each in server.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"tags": {}}', b'{"tags": [1]}', b"[" * 9999]
)
def test_a_list_that_is_none_is_an_error(ask: Ask, reply: type[Reply], body: bytes) -> None:
    client, _ = ask(in_turn(reply(200, {}, body)))
    with pytest.raises(ProtocolError, match="no list of tags"):
        client.tags("a")


def test_an_empty_list_may_be_null(ask: Ask, reply: type[Reply]) -> None:
    client, _ = ask(in_turn(reply(200, {}, b'{"tags": null}')))
    assert client.tags("a") == []


@pytest.mark.parametrize(
    ("path", "member", "read"),
    [
        ("/v2/a/tags/list", "tags", lambda client: client.tags("a")),
        ("/v2/a/tags/list", "tags", lambda client: client.tags("a", page=2)),
        ("/v2/_catalog", "repositories", lambda client: client.repositories()),
        ("/v2/_catalog", "repositories", lambda client: client.repositories(page=2)),
    ],
)
def test_a_list_is_read_over_all_pages_however_long_the_registry_makes_them(
    ask: Ask, reply: type[Reply], path: str, member: str, read: Callable[[OciClient], list[str]]
) -> None:
    def page(names: list[str], **headers: str) -> Reply:
        return reply(200, headers, json.dumps({member: names}).encode())

    following = [f"{path}?n=1&last={last}" for last in ("b", "a")]
    links = [f'<{target}>; rel="next"' for target in following]
    first, second = (page([name], Link=link) for name, link in zip("ba", links, strict=True))
    client, server = ask(in_turn(first, second, page(["c"])))
    assert read(client) == ["a", "b", "c"]
    assert [each.path for each in server.seen][1:] == following


@pytest.mark.parametrize(
    "link", ["</v2/a/tags/list>; rel=next", "<http://other.example/>; rel=next"]
)
def test_pages_that_lead_in_a_circle_or_elsewhere_are_an_error(
    ask: Ask, reply: type[Reply], link: str
) -> None:
    client, server = ask(in_turn(reply(200, {"Link": link}, TAGS)))
    with pytest.raises(ProtocolError, match="in a circle or elsewhere"):
        client.tags("a")
    assert len(server.seen) <= 2


def test_a_registry_that_does_not_filter_referrers_is_helped(ask: Ask, reply: type[Reply]) -> None:
    def entry(number: int, kind: str) -> dict[str, object]:
        return {
            "mediaType": "a/b",
            "digest": f"sha256:{number:064}",
            "size": 1,
            "artifactType": kind,
        }

    def page(*entries: dict[str, object]) -> bytes:
        return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()

    link = {"Link": f'</v2/a/referrers/{DIGEST}?page=2>; rel="next"'}
    first = reply(200, link, page(entry(1, "wanted/x"), entry(2, "other/x")))
    client, server = ask(in_turn(first, reply(200, {}, page(entry(3, "wanted/x")))))
    found = client.referrers("a", DIGEST, "wanted/x")
    assert [each.digest[-1] for each in found] == ["1", "3"]
    assert "artifactType=wanted%2Fx" in server.seen[0].path


def test_a_web_site_is_no_registry(ask: Ask, reply: type[Reply]) -> None:
    client, _ = ask(in_turn(reply(404, {}, b"<html>not here</html>")))
    with pytest.raises(ProtocolError, match="404 Not Found: <html>not here"):
        client.ping()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, ImageNotFound),
        (405, ProtocolError),
        (418, ProtocolError),
        (429, RateLimited),
        (599, ProtocolError),
        (204, ProtocolError),
    ],
)
def test_every_status_has_its_error_and_it_survives_pickling(
    ask: Ask, reply: type[Reply], status: int, expected: type[RegistryError]
) -> None:
    client, _ = ask(in_turn(reply(status, {"Retry-After": "99"})))
    with pytest.raises(expected) as caught:
        client.tags("a/b")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is expected
    assert str(again) == str(caught.value)
    assert "could not list the tags of 127.0.0.1:" in str(again)
    assert f"/v2/a/b/tags/list answered {status}" in str(again)
