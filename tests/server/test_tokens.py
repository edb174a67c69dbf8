"""Accounts with rights: by Basic authentication, and by the bearer tokens of our token server."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from pytest_registry.clients.challenge import Challenge, parse_challenges
from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import AuthenticationFailed
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.oci.names import digest_of
from pytest_registry.security.accounts import Account, FixedAccounts
from pytest_registry.security.credentials import Credentials
from pytest_registry.security.signing import SecretSigner
from pytest_registry.server import RegistryServer, ServerSettings
from pytest_registry.server.authentication import Basic
from pytest_registry.server.bearer import Bearer
from pytest_registry.server.routes import ROUTES
from pytest_registry.server.tokens import TokenServer

OWNER = Account.of_everything(Credentials("owner", "owner-s secret+1"))
READER = Account.allowed(Credentials("reader", "reader-s secret"), pull="*")
TEAM = Account.allowed(Credentials("team", "team-s secret"), push="team/*")
STRANGER = Credentials("stranger", "a guess")
ACCOUNTS = FixedAccounts((OWNER, READER, TEAM))
NULL_GUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Answer:
    status: int
    challenge: Challenge | None
    json: Any


@dataclass(frozen=True)
class Asked:
    """A registry with accounts."""

    server: RegistryServer

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            challenges = parse_challenges(response.headers.get_all("WWW-Authenticate") or ())
            return Answer(
                response.status,
                challenges[0] if challenges else None,
                json.loads(response.read() or b"{}"),
            )
        finally:
            connection.close()

    def token(self, credentials: Credentials | None, *scopes: str, **more: str) -> Answer:
        query = urlencode([*(("scope", each) for each in scopes), *more.items()])
        headers = {"Authorization": credentials.basic} if credentials else {}
        return self.ask("GET", f"/oauth2/token?{query}", **headers)

    def form(self, path: str, **fields: str) -> Answer:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(fields), **kind)

    def bearing(self, token: str, path: str, method: str = "GET") -> Answer:
        return self.ask(method, path, Authorization=f"Bearer {token}")

    def as_team(self, method: str, path: str, *scopes: str) -> Answer:
        """By a token of these scopes, where the registry gives tokens."""
        token = self.token(TEAM.credentials, *scopes)
        if token.status == 200:
            return self.bearing(token.json["token"], path, method)
        return self.ask(method, path, Authorization=TEAM.credentials.basic)

    def client(self, credentials: Credentials | None) -> OciClient:
        return OciClient(self.server.url, credentials)


def bearer_settings(lifetime: float = 300) -> ServerSettings:
    signer = SecretSigner()
    tokens = TokenServer(ACCOUNTS, signer, lifetime=lifetime)
    return ServerSettings(authenticator=Bearer(signer), routes=ROUTES + tokens.routes)


@pytest.fixture(scope="module")
def bearer() -> Iterator[Asked]:
    with RegistryServer(bearer_settings()) as server:
        yield Asked(server)


@pytest.fixture(scope="module", params=["basic", "bearer"])
def with_rights(request: pytest.FixtureRequest) -> Iterator[Asked]:
    basic = ServerSettings(authenticator=Basic(ACCOUNTS))
    with RegistryServer(basic if request.param == "basic" else bearer_settings()) as server:
        with Asked(server).client(OWNER.credentials) as owner:
            for repository in ("team/a", "public"):
                owner.push(synthetic_image(), repository, "1")
        yield Asked(server)


# Rights, whatever the scheme --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "repository", "may"),
    [
        (OWNER, "public", {"pull", "push", "delete", "catalog"}),
        (READER, "public", {"pull"}),
        (TEAM, "team/a", {"pull", "push"}),
        (TEAM, "public", set()),
    ],
    ids=lambda value: value.name if isinstance(value, Account) else None,
)
def test_an_account_can_do_what_its_rights_say_and_nothing_else(
    with_rights: Asked, account: Account, repository: str, may: set[str]
) -> None:
    made = synthetic_image(seed=len(account.name))
    with with_rights.client(OWNER.credentials) as owner:
        owner.push(made, repository, "3")
    with with_rights.client(account.credentials) as client:
        attempts: dict[str, Callable[[], object]] = {
            "pull": lambda: client.pull(repository, "1"),
            "push": lambda: client.push(made, repository, "2"),
            "delete": lambda: client.delete_manifest(repository, made.digest),
            "catalog": client.repositories,
        }
        done = set()
        for action, attempt in attempts.items():
            try:
                attempt()
            except AuthenticationFailed:
                continue
            done.add(action)
    assert done == may


def test_a_mount_needs_the_right_to_pull_where_the_blob_is(with_rights: Asked) -> None:
    digest = synthetic_image().manifest.layers[0].digest
    path = f"/v2/team/b/blobs/uploads/?mount={digest}&from=public"
    # Who has a token is to fetch one with more rights; all others push the blob.
    assert with_rights.as_team("POST", path, "repository:team/b:push").status in (202, 401)
    path = f"/v2/team/b/blobs/{digest}"
    assert with_rights.as_team("HEAD", path, "repository:team/b:pull").status == 404
    with with_rights.client(TEAM.credentials) as team:
        assert team.mount_blob("team/b", digest, "team/a")


@pytest.mark.parametrize("origin", ["", "&from=", "&from=PUBLIC", "&from=team/none&from=private"])
def test_a_mount_without_a_source_finds_only_what_the_account_may_pull(
    origin: str, with_rights: Asked
) -> None:
    with with_rights.client(OWNER.credentials) as owner:
        secret = owner.put_blob("private", b"a private layer").digest
    for digest in (secret, digest_of(b"nothing that anybody has")):
        path = f"/v2/team/a/blobs/uploads/?mount={digest}{origin}"
        scopes = ("repository:team/a:push", "repository:team/none:pull")
        assert with_rights.as_team("POST", path, *scopes).status == 202
        path = f"/v2/team/a/blobs/{digest}"
        assert with_rights.as_team("GET", path, "repository:team/a:pull").status == 404


def test_a_mount_without_a_source_finds_what_the_account_may_pull(with_rights: Asked) -> None:
    digest = synthetic_image().manifest.layers[0].digest
    path = f"/v2/team/c/blobs/uploads/?mount={digest}"
    scopes = ("repository:team/c:push", "repository:team/a:pull")
    assert with_rights.as_team("POST", path, *scopes).status == 201


@pytest.mark.parametrize("credentials", [None, STRANGER, Credentials("reader", "wrong")])
def test_a_stranger_gets_nothing(with_rights: Asked, credentials: Credentials | None) -> None:
    with with_rights.client(credentials) as client, pytest.raises(AuthenticationFailed):
        client.manifest("public", "1")


# The flow of tokens -----------------------------------------------------------------------------


def test_the_challenge_names_realm_service_and_scope(bearer: Asked) -> None:
    answer = bearer.ask("GET", "/v2/team/a/tags/list")
    assert answer.status == 401
    assert answer.json["errors"][0]["code"] == "UNAUTHORIZED"
    assert answer.challenge is not None
    assert answer.challenge.scheme == "bearer"
    assert answer.challenge.parameters == {
        "realm": f"{bearer.server.url}/oauth2/token",
        "service": "pytest-registry",
        "scope": "repository:team/a:pull",
    }


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", None),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("PUT", "/v2/a/manifests/1", "repository:a:push"),
        ("DELETE", "/v2/a/manifests/1", "repository:a:delete"),
        (
            "POST",
            f"/v2/a/blobs/uploads/?mount=sha256:{'0' * 64}&from=b",
            "repository:a:push repository:b:pull",
        ),
    ],
)
def test_each_request_asks_for_its_own_scope(
    bearer: Asked, method: str, path: str, scope: str | None
) -> None:
    challenge = bearer.ask(method, path).challenge
    assert challenge is not None
    assert challenge.parameters.get("scope") == scope


def test_a_token_answer_holds_what_clients_of_either_kind_read(bearer: Asked) -> None:
    answer = bearer.token(READER.credentials, "repository:a:pull,push", "registry:catalog:*").json
    assert answer["token"] == answer["access_token"]
    assert answer["expires_in"] == 300
    assert answer["scope"] == "repository:a:pull"
    assert time.strptime(answer["issued_at"], "%Y-%m-%dT%H:%M:%SZ")


def test_a_token_without_the_scope_is_refused_as_insufficient(bearer: Asked) -> None:
    token = bearer.token(READER.credentials, "repository:a:pull").json["token"]
    answer = bearer.bearing(token, "/v2/a/blobs/uploads/", "POST")
    assert answer.status == 401
    assert answer.json["errors"][0]["code"] == "DENIED"
    assert answer.challenge is not None
    assert answer.challenge.parameters["error"] == "insufficient_scope"
    assert answer.challenge.parameters["scope"] == "repository:a:push"


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "a.é.c"])
def test_a_wrong_token_is_refused_as_invalid(bearer: Asked, token: str) -> None:
    answer = bearer.ask("GET", "/v2/", Authorization=f"Bearer {token}")
    assert answer.status == 401
    assert answer.json["errors"][0]["code"] == "UNAUTHORIZED"
    assert answer.challenge is not None
    assert answer.challenge.parameters["error"] == "invalid_token"


def test_a_token_of_another_registry_is_refused(bearer: Asked) -> None:
    with RegistryServer(bearer_settings()) as other:
        token = Asked(other).token(OWNER.credentials).json["token"]
    assert bearer.bearing(token, "/v2/").status == 401


def test_a_token_for_another_service_is_refused(bearer: Asked) -> None:
    token = bearer.token(OWNER.credentials, service="elsewhere").json["token"]
    assert "elsewhere" in bearer.bearing(token, "/v2/").json["errors"][0]["detail"]


def test_a_token_ends_after_its_lifetime_and_the_client_takes_another(bearer: Asked) -> None:
    with RegistryServer(bearer_settings(lifetime=3)) as server:
        asked = Asked(server)
        token = asked.token(OWNER.credentials).json["token"]
        assert asked.bearing(token, "/v2/").status == 200
        with asked.client(OWNER.credentials) as client:
            client.push(synthetic_image(), "a", "1")
            time.sleep(3.1)
            answer = asked.bearing(token, "/v2/")
            assert answer.status == 401
            assert "expired" in answer.json["errors"][0]["detail"]
            assert client.tags("a") == ["1"]


def test_nobody_in_particular_is_given_a_token_for_nothing(bearer: Asked) -> None:
    token = bearer.token(None, "repository:a:pull").json["token"]
    assert bearer.bearing(token, "/v2/").status == 200
    assert bearer.bearing(token, "/v2/a/tags/list").status == 401


@pytest.mark.parametrize(
    "authorization", [STRANGER.basic, "Basic !", "Bearer x", "Basic " + "x" * 9]
)
def test_the_token_server_refuses_who_is_wrong(bearer: Asked, authorization: str) -> None:
    answer = bearer.ask("GET", "/oauth2/token", Authorization=authorization)
    assert answer.status == 401
    assert answer.json["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"grant_type": "implicit"},
        {"grant_type": "password", "username": "owner"},
        {"grant_type": "password", "username": "a", "password": "b", "scope": "x"},
    ],
)
def test_a_form_that_lacks_something_is_refused_with_what_it_lacks(
    bearer: Asked, fields: Mapping[str, str]
) -> None:
    answer = bearer.form("/oauth2/token", **fields)
    assert answer.status in (400, 401)
    assert answer.json["errors"][0]["detail"]


def test_a_password_is_exchanged_for_a_token_and_a_refresh_token(bearer: Asked) -> None:
    name, password = OWNER.name, OWNER.credentials.password
    answer = bearer.form(
        "/oauth2/token",
        grant_type="password",
        username=name,
        password=password,
        access_type="offline",
        scope="repository:a:pull repository:b:push",
    ).json
    assert answer["scope"] == "repository:a:pull repository:b:push"
    again = bearer.form(
        "/oauth2/token", grant_type="refresh_token", refresh_token=answer["refresh_token"]
    )
    assert bearer.bearing(again.json["access_token"], "/v2/").status == 200
    assert bearer.bearing(answer["refresh_token"], "/v2/").status == 401


def test_azure_s_flow_ends_with_the_null_guid_as_a_user_name(bearer: Asked) -> None:
    with bearer.client(None) as client:
        credentials = client.exchange_azure_token(OWNER.credentials.password)
    assert credentials.username == NULL_GUID
    with bearer.client(credentials) as client:
        client.push(synthetic_image(), "azure", "1")
    given = base64.b64encode(f"{NULL_GUID}:{credentials.password}".encode()).decode()
    answer = bearer.ask("GET", "/oauth2/token", Authorization=f"Basic {given}")
    assert bearer.bearing(answer.json["access_token"], "/v2/").status == 200


def test_azure_s_exchange_refuses_a_wrong_access_token(bearer: Asked) -> None:
    with bearer.client(None) as client, pytest.raises(AuthenticationFailed):
        client.exchange_azure_token("guessed")
