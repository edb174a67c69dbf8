"""Logging in, against token servers that follow a script."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import AuthenticationFailed, ProtocolError, RegistryError
from pytest_registry.oci.names import digest_of
from pytest_registry.security.credentials import Credentials

if TYPE_CHECKING:
    from tests.clients.conftest import Reply, Script, ScriptedServer, Seen

Start = Callable[["Script"], "ScriptedServer"]
Connect = Callable[..., OciClient]

SOMEONE = Credentials("someone", "secret-word")
AZURE = Credentials("00000000-0000-0000-0000-000000000000", "refresh-secret")
BLOB = b"a blob"
DIGEST = digest_of(BLOB)


class TokenRegistry:
    """A registry that wants bearer tokens, and its token server, in one script.

    `grants` makes the token server's answer from the request and the number of the token; `valid`
    are the tokens that the registry takes; `None` takes every token that was given out.
    """

    def __init__(
        self,
        reply: type[Reply],
        grants: Callable[[Seen, str], Reply] | None = None,
        challenge: str = 'Bearer realm="{url}/token",service="registry.test",scope="{scope}"',
    ) -> None:
        self.reply = reply
        self.grants = grants or (lambda _, token: self.json({"token": token}))
        self.challenge = challenge
        self.given: list[str] = []
        self.refused: set[str] = set()
        self.url = ""
        self.lock = threading.Lock()

    def json(self, value: object, status: int = 200) -> Reply:
        return self.reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def __call__(self, seen: Seen) -> Reply:
        if seen.path.startswith("/token"):
            with self.lock:
                self.given.append(f"token-{len(self.given)}")
                return self.grants(seen, self.given[-1])
        login = (seen.login or "").removeprefix("Bearer ")
        if login in self.given and login not in self.refused:
            return self.json({"tags": ["1"], "repositories": []})
        name = seen.path.removeprefix("/v2/").rpartition("/tags")[0]
        scope = f"repository:{name}:pull" if name else ""
        header = self.challenge.format(url=self.url, scope=scope)
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED"}]}).encode()
        return self.reply(401, {"WWW-Authenticate": header}, body)


@pytest.fixture
def start_registry(
    scripted: Start, reply: type[Reply]
) -> Callable[..., tuple[TokenRegistry, ScriptedServer]]:
    def start(**settings: object) -> tuple[TokenRegistry, ScriptedServer]:
        registry = TokenRegistry(reply, **settings)  # type: ignore[arg-type]
        server = scripted(registry)
        registry.url = server.url
        return registry, server

    return start


def query(seen: Seen) -> dict[str, list[str]]:
    return parse_qs(urlsplit(seen.path).query)


StartRegistry = Callable[..., tuple[TokenRegistry, "ScriptedServer"]]


@pytest.mark.parametrize("member", ["token", "access_token"])
def test_a_token_is_fetched_and_used(
    start_registry: StartRegistry, connect: Connect, member: str
) -> None:
    registry, server = start_registry()
    registry.grants = lambda _, token: registry.json({member: token})
    assert connect(server.url, SOMEONE).tags("a/b") == ["1"]
    (asked,) = server.asked("GET", "/token")
    assert query(asked)["service"] == ["registry.test"]
    assert query(asked)["scope"] == ["repository:a/b:pull"]
    assert asked.login == SOMEONE.basic
    assert [each.login for each in server.asked("GET", "/v2/")] == [None, "Bearer token-0"]


def test_without_credentials_the_token_is_an_anonymous_one(
    start_registry: StartRegistry, connect: Connect
) -> None:
    _, server = start_registry()
    connect(server.url).tags("a")
    (asked,) = server.asked("GET", "/token")
    assert asked.login is None
    assert "account" not in query(asked)


def test_a_token_serves_every_request_of_its_scope(
    start_registry: StartRegistry, connect: Connect
) -> None:
    _, server = start_registry()
    client = connect(server.url, SOMEONE)
    for name in ("a", "a", "b", "a", "b"):
        client.tags(name)
    asked = [query(each)["scope"] for each in server.asked("GET", "/token")]
    assert asked == [["repository:a:pull"], ["repository:b:pull"]]
    # Only the very first request is refused: the second scope's token is fetched beforehand.
    assert len(server.asked("GET", "/tags/list")) == 6


def test_threads_that_need_the_same_token_fetch_it_once(
    start_registry: StartRegistry, connect: Connect
) -> None:
    _, server = start_registry()
    client = connect(server.url, SOMEONE)
    client.ping()
    threads = [threading.Thread(target=client.tags, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([each for each in server.asked("GET", "/token") if "scope" in query(each)]) == 1


def test_a_token_that_is_refused_is_renewed_once(
    start_registry: StartRegistry, connect: Connect
) -> None:
    registry, server = start_registry()
    client = connect(server.url, SOMEONE)
    client.tags("a")
    registry.refused.add("token-0")
    client.tags("a")
    assert server.seen[-1].login == "Bearer token-1"
    registry.grants = lambda _, __: registry.json({"token": "token-0"})
    registry.refused.add("token-1")
    with pytest.raises(AuthenticationFailed, match="401"):
        client.tags("a")
    assert len(server.asked("GET", "/token")) == 3


def test_a_token_is_not_used_longer_than_it_lives(
    start_registry: StartRegistry, connect: Connect
) -> None:
    registry, server = start_registry()
    registry.grants = lambda _, token: registry.json({"token": token, "expires_in": 0})
    client = connect(server.url, SOMEONE)
    client.tags("a")
    client.tags("a")
    logins = [each.login for each in server.asked("GET", "/tags/list")]
    assert logins == [None, "Bearer token-0", "Bearer token-1"]


def test_what_the_challenge_wants_is_added_to_the_scope(
    start_registry: StartRegistry, connect: Connect
) -> None:
    challenge = 'Bearer realm="{url}/token?a=b",scope="repository:a:push other:x:y"'
    _, server = start_registry(challenge=challenge)
    connect(server.url, SOMEONE).tags("a")
    (asked,) = server.asked("GET", "/token")
    assert query(asked)["scope"] == ["other:x:y", "repository:a:pull,push"]
    assert query(asked)["a"] == ["b"]
    assert "service" not in query(asked)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_token_server_that_refuses_is_told_without_secrets(
    start_registry: StartRegistry, connect: Connect, status: int
) -> None:
    registry, server = start_registry()
    said = {"errors": [{"code": "DENIED", "message": f"{SOMEONE.password} {SOMEONE.basic} is bad"}]}
    registry.grants = lambda _, __: registry.json(said, status)
    with pytest.raises(AuthenticationFailed, match=f"{status}.*DENIED") as caught:
        connect(server.url, SOMEONE).tags("a")
    encoded = base64.b64encode(b"someone:secret-word").decode()
    assert SOMEONE.password not in str(caught.value)
    assert encoded not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"{}", b'{"token": 5}', b'{"token": ""}', b"[" * 5000]
)
def test_a_token_servers_nonsense_is_an_error(
    start_registry: StartRegistry, connect: Connect, reply: type[Reply], body: bytes
) -> None:
    registry, server = start_registry()
    registry.grants = lambda _, __: reply(200, {}, body)
    with pytest.raises(ProtocolError, match="neither token nor access_token"):
        connect(server.url, SOMEONE).tags("a")


@pytest.mark.parametrize(
    "challenge", ["Bearer", 'Bearer realm="ftp://h/"', 'Bearer realm="http://"']
)
def test_a_challenge_without_a_usable_realm_is_an_error(
    start_registry: StartRegistry, connect: Connect, challenge: str
) -> None:
    _, server = start_registry(challenge=challenge)
    with pytest.raises(RegistryError):
        connect(server.url, SOMEONE).tags("a")


@pytest.mark.parametrize("challenge", ["Negotiate", "", 'Digest realm="x"'])
def test_a_challenge_that_we_cannot_answer_is_an_error(
    start_registry: StartRegistry, connect: Connect, challenge: str
) -> None:
    _, server = start_registry(challenge=challenge)
    with pytest.raises(AuthenticationFailed):
        connect(server.url, SOMEONE).tags("a")


def test_a_refresh_token_is_posted_as_azure_documents_it(
    start_registry: StartRegistry, connect: Connect
) -> None:
    registry, server = start_registry()
    registry.grants = lambda _, token: registry.json({"access_token": token})
    connect(server.url, AZURE).tags("a")
    (asked,) = server.asked("POST", "/token")
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["pytest-registry"],
        "service": ["registry.test"],
        "scope": ["repository:a:pull"],
        "refresh_token": [AZURE.password],
    }
    assert asked.login is None


def test_a_token_server_without_oauth_is_asked_the_other_way(
    start_registry: StartRegistry, connect: Connect, reply: type[Reply]
) -> None:
    registry, server = start_registry()
    registry.grants = lambda seen, token: (
        reply(405) if seen.method == "POST" else registry.json({"token": token})
    )
    assert connect(server.url, AZURE).tags("a") == ["1"]
    assert server.asked("GET", "/token")[0].login == AZURE.basic


def test_an_access_token_is_exchanged_for_azures_credentials(
    scripted: Start, connect: Connect, reply: type[Reply]
) -> None:
    server = scripted(lambda _: reply(200, {}, b'{"refresh_token": "refreshed"}'))
    found = connect(server.url).exchange_azure_token("entra-token", tenant="t")
    assert (found.username, found.password) == (AZURE.username, "refreshed")
    (asked,) = server.asked("POST", "/oauth2/exchange")
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["access_token"],
        "service": [server.url.removeprefix("http://")],
        "access_token": ["entra-token"],
        "tenant": ["t"],
    }


@pytest.mark.parametrize(("status", "body"), [(401, b"entra-token is bad"), (200, b"{}")])
def test_an_access_token_that_is_refused_is_told_without_it(
    scripted: Start, connect: Connect, reply: type[Reply], status: int, body: bytes
) -> None:
    server = scripted(lambda _: reply(status, {}, body))
    with pytest.raises(RegistryError) as caught:
        connect(server.url).exchange_azure_token("entra-token")
    assert "entra-token" not in str(caught.value)


def test_basic_is_sent_only_after_it_was_asked_for(
    scripted: Start, connect: Connect, reply: type[Reply]
) -> None:
    def script(seen: Seen) -> Reply:
        if seen.login != SOMEONE.basic:
            return reply(401, {"WWW-Authenticate": 'Basic realm="x"'})
        return reply(200, {}, b'{"tags": []}')

    server = scripted(script)
    client = connect(server.url, SOMEONE)
    client.tags("a")
    client.tags("a")
    assert [each.login for each in server.seen] == [None, SOMEONE.basic, SOMEONE.basic]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_login_is_not_sent_on_to_another_host(
    scripted: Start, connect: Connect, reply: type[Reply], status: int
) -> None:
    storage = scripted(lambda _: reply(200, {}, BLOB))

    def script(seen: Seen) -> Reply:
        if seen.login != SOMEONE.basic:
            return reply(401, {"WWW-Authenticate": "Basic realm=x"})
        return reply(status, {"Location": f"{storage.url}/signed?signature=secret"})

    server = scripted(script)
    with connect(server.url, SOMEONE).blob("a", DIGEST) as stream:
        assert stream.read() == BLOB
    assert [each.login for each in storage.seen] == [None]


def test_a_refusal_of_another_host_never_gets_our_login(
    scripted: Start, connect: Connect, reply: type[Reply]
) -> None:
    storage = scripted(lambda _: reply(401, {"WWW-Authenticate": "Basic realm=x"}, b"go away"))
    server = scripted(lambda _: reply(307, {"Location": f"{storage.url}/x?signature=secret"}))
    with pytest.raises(AuthenticationFailed) as caught:
        connect(server.url, SOMEONE).blob("a", DIGEST)
    assert {each.login for each in storage.seen} == {None}
    assert "signature" not in str(caught.value)


def test_an_upload_to_another_host_is_sent_without_our_login(
    scripted: Start, connect: Connect, reply: type[Reply]
) -> None:
    storage = scripted(lambda _: reply(201, {"Location": "/x"}))

    def script(seen: Seen) -> Reply:
        if seen.login != SOMEONE.basic:
            return reply(401, {"WWW-Authenticate": "Basic realm=x"})
        if seen.method == "HEAD":
            return reply(404)
        return reply(202, {"Location": f"{storage.url}/upload?key=1"})

    connect(scripted(script).url, SOMEONE).put_blob("a", BLOB)
    (put,) = storage.seen
    assert (put.login, put.body) == (None, BLOB)
    assert query(put) == {"key": ["1"], "digest": [DIGEST]}
