"""Faults, throttling and the log at the token endpoint: of every engine, behind the gateway too."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.gate.forward import Forward, Named, Upstream
from pytest_registry.gate.guard import Guard
from pytest_registry.gate.origin import Origin
from pytest_registry.gate.realms import Realms
from pytest_registry.security.accounts import Account, FixedAccounts
from pytest_registry.security.credentials import Credentials
from pytest_registry.security.signing import SecretSigner
from pytest_registry.server import Challenge, RegistryServer, Request, ServerSettings
from pytest_registry.server.authentication import Account as Proved
from pytest_registry.server.bearer import Bearer
from pytest_registry.server.routes import ROUTES
from pytest_registry.server.tokens import TokenServer

if TYPE_CHECKING:
    from tests.gate.conftest import Gated
else:
    Gated = Any

RUN = Credentials("pytest", "the run's password")
ACCOUNTS = FixedAccounts(tuple(Account.of_everything(each) for each in (RUN,)))
HERE = "http://127.0.0.1:9"


class Elsewhere:
    """Asks for a token of a token server on another port."""

    def __init__(self, bearer: Bearer, token_server: RegistryServer) -> None:
        self._bearer = bearer
        self._url = token_server.url

    def authenticate(self, request: Request) -> Proved | Challenge:
        found = self._bearer.authenticate(request)
        if isinstance(found, Proved):
            return found
        return Challenge(found.header.replace(request.base_url, self._url), found.reason)


@pytest.fixture(params=["on the registry's host", "on another host"])
def through(request: pytest.FixtureRequest, gated: Gated, tmp_path: Path) -> Iterator[Gated]:
    """A gateway before a registry that takes tokens only, and where its tokens come from."""
    signer = SecretSigner()
    issuing = TokenServer(ACCOUNTS, signer).routes
    with RegistryServer(ServerSettings(routes=issuing)) as tokens:
        bearer = Bearer(signer)
        settings = ServerSettings(authenticator=bearer, routes=ROUTES + issuing)
        if request.param == "on another host":
            settings = ServerSettings(authenticator=Elsewhere(bearer, tokens))
        with RegistryServer(settings) as behind:
            forward = Forward(Upstream(behind.host, None, RUN, workers=False))
            forward.learn()
            log = tmp_path / "gateway.jsonl"
            guard = Guard(ServerSettings(authenticator=Named()), RUN, log, forward=forward)
            with RegistryServer(guard.settings) as server:
                yield type(gated)(server, log, guard.gate.key)
            guard.close()


def realm_of(through: Gated) -> str:
    """The path of the token endpoint as the gateway tells it; fails if it is elsewhere."""
    challenge = through.ask("GET", "/v2/", login="").headers["WWW-Authenticate"]
    realm = str(challenge.partition('realm="')[2].partition('"')[0])
    assert realm.startswith(f"http://{through.server.host}/")
    return realm.removeprefix(f"http://{through.server.host}")


def test_a_token_is_fetched_through_the_gateway_and_taken_behind_it(through: Gated) -> None:
    path = f"{realm_of(through)}?service=pytest-registry&scope=registry:catalog:*"
    answer = through.ask("GET", path)
    assert answer.status == 200
    token = answer.body.partition(b'"token": "')[2].partition(b'"')[0].decode()
    assert through.ask("GET", "/v2/_catalog", login=f"Bearer {token}").status == 200
    _, asked, used = through.requests
    assert (asked.route, asked.account, asked.worker) == ("token", "pytest", "main")
    assert (used.route, used.account) == ("catalog", "pytest")


def test_who_knows_the_endpoint_from_before_finds_it_at_once(through: Gated) -> None:
    assert through.ask("GET", "/oauth2/token").status == 200
    assert through.ask("GET", "/oauth2/tokens").status == 401


def test_a_429_comes_from_it(through: Gated) -> None:
    path = realm_of(through)
    with through.fault(on="token", status=429, retry_after=3, answer="azure", times=1) as fault:
        refused, taken = (through.ask("GET", path) for _ in "12")
    assert (refused.status, refused.headers["Retry-After"], taken.status) == (429, "3", 200)
    assert b"aka.ms/acr/throttling" in refused.body
    assert fault.hits == 1
    with through.throttle(token=1, read=100):
        assert [through.ask("GET", path).status for _ in "123"] == [200, 429, 429]
        assert through.ask("GET", "/v2/").status == 401
    assert [each.route for each in through.requests if each.status == 429] == ["token"] * 3


@pytest.mark.parametrize(
    ("fault", "broke"),
    [({"truncate": "middle"}, "ended early"), ({"reset": "middle"}, "was reset")],
)
def test_its_answers_break_as_others_do(through: Gated, fault: dict[str, Any], broke: str) -> None:
    with through.fault(on="GET token", **fault):
        assert through.ask("GET", realm_of(through)).broke == broke


def test_azures_second_step_passes_too(through: Gated) -> None:
    form = f"grant_type=access_token&access_token={RUN.password.replace(' ', '+')}"
    assert through.ask("POST", "/oauth2/exchange", form.encode(), login="").status == 200
    assert through.requests[-1].route == "token"


FORM = "grant_type=password&service=pytest-registry&scope=repository:team/app:pull,push&{}"


@pytest.mark.parametrize(
    ("login", "form", "account", "status"),
    [
        (RUN.basic, None, "pytest", 200),
        (Credentials("pytest", "wrong").basic, None, "", 401),
        ("", FORM.format("username=pytest&password=the+run's+password"), "pytest", 200),
        ("", FORM.format("username=pytest&password=wrong"), "", 401),
    ],
)
def test_who_asks_and_for_what_stands_in_the_log(
    through: Gated, login: str, form: str | None, account: str, status: int
) -> None:
    path = "/oauth2/token" + ("?scope=repository:team/app:pull" if form is None else "")
    body = None if form is None else form.encode()
    answer = through.ask("GET" if form is None else "POST", path, body, login=login)
    assert answer.status == status
    asked = through.requests[-1]
    assert (asked.route, asked.account, asked.repository) == ("token", account, "team/app")
    assert asked.bytes_in == len(form or "")


BASIC = 'Basic realm="https://auth.example/token"'


@pytest.mark.parametrize(
    ("challenge", "rewritten"),
    [
        ('Bearer realm="https://auth.example/token",service="r"', f'Bearer realm="{HERE}/token",'),
        ('bearer service="a b", realm="https://auth.example/a/b?c=d"', f'realm="{HERE}/a/b?c=d"'),
        (f'{BASIC}, Bearer realm="https://auth.example/t"', f'{BASIC}, Bearer realm="{HERE}/t"'),
    ],
)
def test_a_realm_becomes_the_gateways_address(challenge: str, rewritten: str) -> None:
    realms = Realms(Origin("https://registry.example", ssl.create_default_context()))
    assert rewritten in realms.rewritten(challenge, HERE)
    path = rewritten.rpartition(HERE)[2].partition('"')[0].partition("?")[0]
    found = realms.find(path)
    assert found is not None
    assert found.url == "https://auth.example"
    assert realms.find("/v2/") is None


@pytest.mark.parametrize(
    "challenge",
    [
        BASIC,
        'Bearer realm="token"',
        'Bearer realm="https://auth.example/"',
        'Bearer realm="ldap://auth.example/token"',
        # What a client that speaks TLS to the registry itself would not log in to.
        'Bearer realm="http://auth.example/token"',
    ],
)
def test_what_cannot_pass_the_gateway_stays_as_it_is(challenge: str) -> None:
    realms = Realms(Origin("https://registry.example", ssl.create_default_context()))
    assert realms.rewritten(challenge, HERE) == challenge
    assert realms.find("/token") is None


# In whole runs ----------------------------------------------------------------------------------


def options_of(kind: str, image: str) -> tuple[str, ...]:
    if kind == "embedded":
        return ("--registry-engine=embedded",)
    return ("--registry-engine=container", f"--registry-image={image}", "--registry-gateway")


@pytest.mark.container_engine
@pytest.mark.parametrize("kind", ["embedded", "container"])
@pytest.mark.parametrize(
    "more", [(), ("-n2",), ("--registry-tls=on",), ("--registry-tls=mutual",)], ids=str
)
def test_token_requests_of_a_run_are_throttled_broken_and_logged(
    pytester: pytest.Pytester,
    ci_registry_image: str,
    kind: str,
    more: tuple[str, ...],
) -> None:
    pytester.makepyfile(
        """
        import re, secrets
        import pytest
        from pytest_registry import RegistryError

        def look(registry, name=""):
            # A repository that nobody asked for before needs a token of its own.
            name = name or f"new/{secrets.token_hex(8)}"
            assert not registry.client.exists(name, "latest")
            return name

        @pytest.mark.parametrize("number", range(3))
        def test_a_429_comes_from_it(registry, number):
            with registry.faults("token", status=429, retry_after=1, times=1) as fault:
                name = look(registry)
            assert fault.hits == 1
            asked = registry.requests.where("token", repository=name)
            assert asked.statuses == [429, 200]
            assert {each.account for each in asked} == {registry.credentials.username}
            registry.requests.assert_backed_off()

        @pytest.mark.parametrize("number", range(3))
        def test_it_is_refused(registry, number):
            with registry.faults("token", status=401) as fault, pytest.raises(RegistryError):
                look(registry)
            assert fault.hits >= 1

        @pytest.mark.parametrize("number", range(3))
        def test_it_has_a_bucket_of_its_own(registry, number):
            nobody = {"Authorization": ""}
            told = registry.http.get(f"{registry.url}/v2/", headers=nobody).headers
            realm = re.search('realm="([^"]*)"', told["WWW-Authenticate"])[1]
            assert realm.startswith(registry.url)
            login = {"Authorization": registry.credentials.basic}
            with registry.throttle(token=1, read=1000, retry_after=False):
                answers = [registry.http.get(realm, headers=login) for _ in "12"]
            assert [each.status_code for each in answers] == [200, 429]
            assert "Retry-After" not in answers[1].headers
            assert registry.requests.where("token").statuses[-2:] == [200, 429]

        @pytest.mark.parametrize("number", range(3))
        def test_others_are_left_alone(registry, number):
            for _ in range(20):
                look(registry)
            asked = registry.requests.where("token")
            assert len(asked) >= 20
            assert set(asked.statuses) == {200}
        """
    )
    result = pytester.runpytest_subprocess(
        *options_of(kind, ci_registry_image), "--registry-auth=bearer", *more
    )
    result.assert_outcomes(passed=12)


@pytest.mark.container_engine
def test_the_container_engine_fetches_its_tokens_through_the_gateway(
    pytester: pytest.Pytester, ci_registry_image: str
) -> None:
    pytester.makepyfile(
        """
        from pytest_registry import synthetic_image

        def test_all(registry, registry_push):
            image = registry_push(synthetic_image())
            with registry.faults("token", delay=0.01) as fault:
                registry.pull(image.repository, image.tag)
            assert fault.hits >= 1
            agents = [each.user_agent for each in registry.requests.where("token")]
            assert any(each.startswith("docker/") for each in agents), agents
        """
    )
    options = options_of("container", ci_registry_image)
    result = pytester.runpytest_subprocess(*options, "--registry-auth=bearer")
    result.assert_outcomes(passed=1)


def test_a_registry_that_runs_already_gives_tokens_through_the_gateway(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        """
        from pytest_registry import synthetic_image

        def test_all(registry, registry_push):
            with registry.faults("token", status=429, retry_after=1, times=1) as fault:
                image = registry_push(synthetic_image())
            assert fault.hits == 1
            registry.requests.assert_backed_off()
            assert registry.requests.where("token", repository=image.repository)
        """
    )
    monkeypatch.setenv("PYTEST_REGISTRY_USERNAME", RUN.username)
    monkeypatch.setenv("PYTEST_REGISTRY_PASSWORD", RUN.password)
    signer = SecretSigner()
    with RegistryServer(ServerSettings(routes=TokenServer(ACCOUNTS, signer).routes)) as tokens:
        elsewhere = Elsewhere(Bearer(signer), tokens)
        with RegistryServer(ServerSettings(authenticator=elsewhere)) as server:
            state = f"--registry-state-dir={pytester.path / 'state'}"
            result = pytester.runpytest_subprocess(
                f"--registry-url={server.url}/team", "--registry-gateway", state
            )
    result.assert_outcomes(passed=1)
