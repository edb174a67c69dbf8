"""The token server: accounts prove themselves here and are given tokens for what they may do.

Three ways in: distribution's GET with Basic or anonymous ("Token Authentication Specification"),
its OAuth2 POST with a password or a refresh token, and Azure Container Registry's, which exchanges
an access token of Microsoft Entra for a refresh token first (an account's password stands for one).
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pytest_registry.security.accounts import Account, Accounts
from pytest_registry.security.credentials import REFRESH_TOKEN_USERS, Credentials
from pytest_registry.security.signing import SecretSigner, Signer, signed
from pytest_registry.server.authentication import REALM
from pytest_registry.server.authentication import Account as Proved
from pytest_registry.server.bearer import SERVICE, TOKEN_PATH
from pytest_registry.server.body import read_all
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.routes import Route
from pytest_registry.server.scopes import Scope, granted

if TYPE_CHECKING:
    from pytest_registry.server.store.store import Store

ISSUER = "pytest-registry"
REFRESH_LIFETIME = 3 * 3600
"""Seconds that a refresh token lives; Azure's live as long."""

_FORM_LIMIT = 64 * 1024
_NOBODY = Account(Credentials("", ""))


class TokenServer:
    """Answers three endpoints: `routes` are to be added to a server's.

    `lifetime` is in seconds. Access tokens are signed by `signer`, for whoever verifies them;
    `tolerance` are the seconds for which that one takes expired tokens too: they are signed as
    expiring so much sooner. Refresh tokens are for this server alone.
    """

    def __init__(
        self,
        accounts: Accounts,
        signer: Signer,
        *,
        lifetime: float = 300.0,
        tolerance: float = 0.0,
    ) -> None:
        self._accounts = accounts
        self._signer = signer
        self._refresh = signer if isinstance(signer, SecretSigner) else SecretSigner()
        self._lifetime = lifetime
        self._tolerance = tolerance

    @property
    def routes(self) -> tuple[Route, ...]:
        """Its rows of a route table."""
        return (
            Route("", "GET", TOKEN_PATH, "token", self.get),
            Route("", "POST", TOKEN_PATH, "token", self.post),
            Route("", "POST", "/oauth2/exchange", "token", self.exchange),
        )

    def get(self, store: Store, request: Request) -> Response:  # noqa: ARG002 - a handler
        """Distribution's way: `service`, `scope` (several), `offline_token`; Basic or anonymous."""
        asked = parse_qs(request.query)
        account = self._by_header(request)
        request.account = Proved(account.name)
        answer = self._access(account, asked)
        answer["token"] = answer["access_token"]
        if asked.get("offline_token") == ["true"]:
            answer["refresh_token"] = self._refresh_token(account)
        return _json(answer)

    def post(self, store: Store, request: Request) -> Response:  # noqa: ARG002 - a handler
        """OAuth2's way (RFC 6749, sections 4.3 and 6): a password, or a refresh token."""
        form = _form(request)
        kind = _one(form, "grant_type")
        if kind == "password":
            account = self._by_password(_one(form, "username"), _one(form, "password"))
        elif kind == "refresh_token":
            account = self._by_refresh_token(_one(form, "refresh_token"))
        else:
            raise _bad_form(f"grant_type {kind!r} is neither password nor refresh_token")
        request.account = Proved(account.name)
        answer = self._access(account, form)
        if kind == "refresh_token":
            answer["refresh_token"] = _one(form, "refresh_token")
        elif form.get("access_type") == ["offline"]:
            answer["refresh_token"] = self._refresh_token(account)
        return _json(answer)

    def exchange(self, store: Store, request: Request) -> Response:  # noqa: ARG002 - a handler
        """Azure's first step: an access token, here an account's password, for a refresh token."""
        form = _form(request)
        if "access_token" not in _one(form, "grant_type"):
            raise _bad_form("grant_type does not name access_token")
        given = _one(form, "access_token").encode()
        for account in self._accounts.all():
            if hmac.compare_digest(given, account.credentials.password.encode()):
                request.account = Proved(account.name)
                return _json({"refresh_token": self._refresh_token(account)})
        raise _unauthorized("the access token is no account's password")

    def _access(self, account: Account, asked: Mapping[str, list[str]]) -> dict[str, Any]:
        """An access token for those of the scopes that the account may have, maybe none."""
        scopes = [granted(account, scope) for scope in _scopes(asked.get("scope", ()))]
        now = time.time()
        claims = {
            "typ": "access",
            "iss": ISSUER,
            "sub": account.name,
            "aud": asked.get("service", [SERVICE])[0] or SERVICE,
            "iat": int(now),
            "nbf": int(now - self._tolerance) - 1,
            "exp": now + self._lifetime,
            "jti": secrets.token_hex(8),
            "access": [scope.to_claim() for scope in scopes if scope is not None],
        }
        if self._tolerance:  # distribution reads whole seconds only
            claims["exp"] = int(now + self._lifetime - self._tolerance)
        return {
            "access_token": signed(self._signer, claims),
            "scope": " ".join(str(scope) for scope in scopes if scope is not None),
            "expires_in": max(1, int(self._lifetime)),
            "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        }

    def _refresh_token(self, account: Account) -> str:
        claims = {"typ": "refresh", "sub": account.name, "exp": time.time() + REFRESH_LIFETIME}
        return signed(self._refresh, claims)

    def _by_header(self, request: Request) -> Account:
        header = request.header("authorization")
        if not header:
            return self._named("") or _NOBODY
        given = Credentials.from_basic(header)
        if given is None:
            raise _unauthorized("the token server takes Basic authentication")
        return self._by_password(given.username, given.password)

    def _by_password(self, name: str, password: str) -> Account:
        if name in REFRESH_TOKEN_USERS:
            return self._by_refresh_token(password)
        account = self._named(name)
        expected = _NOBODY if account is None else account
        matches = hmac.compare_digest(expected.credentials.password.encode(), password.encode())
        if account is None or not matches or not name:
            raise _unauthorized("the user name or the password is wrong")
        return account

    def _by_refresh_token(self, token: str) -> Account:
        claims = self._refresh.verify(token)
        if claims is None or claims.get("typ") != "refresh":
            raise _unauthorized("the refresh token is not one of ours")
        if claims["exp"] <= time.time():
            raise _unauthorized("the refresh token has expired")
        account = self._named(claims["sub"])
        if account is None:
            raise _unauthorized(f"there is no account {claims['sub']!r} any more")
        return account

    def _named(self, name: str) -> Account | None:
        return next((each for each in self._accounts.all() if each.name == name), None)


def _scopes(texts: Iterable[str]) -> list[Scope]:
    """Scopes as they were asked for: several parameters, several scopes in each."""
    try:
        return [Scope.parse(each) for text in texts for each in text.split()]
    except ValueError as error:
        raise _bad_form(str(error)) from None


def _form(request: Request) -> dict[str, list[str]]:
    content = read_all(request.body, _FORM_LIMIT)
    if content is None:
        raise _bad_form(f"it is longer than {_FORM_LIMIT} bytes")
    return parse_qs(content.decode("utf-8", "replace"))


def _one(form: Mapping[str, list[str]], name: str) -> str:
    if name not in form:
        raise _bad_form(f"it has no {name}")
    return form[name][0]


def _bad_form(why: str) -> ApiError:
    return ApiError(Code.UNSUPPORTED, f"cannot give a token: {why}", status=400)


def _unauthorized(why: str) -> ApiError:
    header = {"WWW-Authenticate": f'Basic realm="{REALM}"'}
    return ApiError(Code.UNAUTHORIZED, why, headers=header)


def _json(answer: Mapping[str, Any]) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(200, headers, json.dumps(answer).encode())
