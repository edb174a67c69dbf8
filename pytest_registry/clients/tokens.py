"""Logging in: `Authorization` headers from Basic and Bearer challenges.

The bearer flow is the one of distribution's token documents (a GET with `service` and `scope`),
and OAuth2's POST with a refresh token, which Azure Container Registry documents.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlencode, urljoin, urlsplit

from pytest_registry.clients.challenge import Challenge, merge_scopes
from pytest_registry.clients.failures import failure, no_answer
from pytest_registry.clients.forks import begin_anew_in_children
from pytest_registry.clients.http import Answer, Body, NoAnswer, is_loopback
from pytest_registry.errors import AuthenticationFailed, ProtocolError
from pytest_registry.security.credentials import AZURE_USER, REFRESH_TOKEN_USERS, Credentials

CLIENT_ID = "pytest-registry"
DEFAULT_LIFETIME = 60.0
"""Seconds that a token lives whose answer does not say."""
MAX_TOKEN_BODY = 1 << 20

Scopes = tuple[str, ...]


class Exchange(Protocol):
    """How the token server is asked: one request with retries, without our own login."""

    def __call__(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, asked: str
    ) -> Answer:
        """The answer, whatever its status; raises TransferError where none came."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and the monotonic time, in seconds, from which it is not used any more."""

    value: str = field(repr=False)
    stale_at: float

    @property
    def header(self) -> str:
        """The value of the `Authorization` header."""
        return f"Bearer {self.value}"


class Authorizer:
    """Answers one registry's challenges. Safe to share between threads.

    Tokens are kept per set of scopes and taken again shortly before they expire.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None,
        exchange: Exchange,
    ) -> None:
        self._base_url = base_url
        self._credentials = credentials
        self._exchange = exchange
        self._challenge: Challenge | None = None
        self._tokens: dict[Scopes, Token] = {}
        self._wider: dict[Scopes, Scopes] = {}
        self.after_fork()
        begin_anew_in_children(self)

    def after_fork(self) -> None:
        """Have a lock of this process's own."""
        # Held while a token is fetched: threads that need the same one ask only once.
        self._lock = threading.RLock()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        tokens = tuple(token.value for token in list(self._tokens.values()))
        if self._credentials is None:
            return tokens
        encoded = self._credentials.basic.partition(" ")[2]
        return (self._credentials.password, encoded, *tokens)

    def header(self, scopes: Scopes) -> str | None:
        """The `Authorization` header for a request with these scopes; None before any challenge.

        Raises AuthenticationFailed where the token server refuses.
        """
        with self._lock:
            if self._challenge is None:
                return None
            if self._challenge.scheme == "basic":
                return None if self._credentials is None else self._credentials.basic
            token = self._tokens.get(scopes)
            if token is None or token.stale_at <= time.monotonic():
                token = self._fetch(self._challenge, scopes)
            return token.header

    def answer(
        self, challenges: Iterable[Challenge], scopes: Scopes, refused: str | None
    ) -> str | None:
        """The header to try after a 401; None where there is nothing new to try.

        `refused` is the header that the refused request had.
        """
        offered = {challenge.scheme: challenge for challenge in challenges}
        with self._lock:
            if bearer := offered.get("bearer"):
                return self._answer_bearer(bearer, scopes, refused)
            if "basic" not in offered or self._credentials is None:
                return None
            self._challenge = offered["basic"]
            return None if refused == self._credentials.basic else self._credentials.basic

    def _answer_bearer(self, challenge: Challenge, scopes: Scopes, refused: str | None) -> str:
        self._challenge = challenge
        known = self._tokens.get(scopes)
        if known is not None and known.header != refused:
            return known.header  # another thread has renewed it meanwhile
        self._wider[scopes] = merge_scopes(self._wider.get(scopes, ()), challenge.scopes)
        return self._fetch(challenge, scopes).header

    def _fetch(self, challenge: Challenge, scopes: Scopes) -> Token:
        self._tokens.pop(scopes, None)
        wanted = merge_scopes(scopes, self._wider.get(scopes, ()))
        token = self._ask(challenge, wanted)
        self._tokens[scopes] = token
        return token

    def _ask(self, challenge: Challenge, scopes: Scopes) -> Token:
        realm = urljoin(self._base_url, challenge.realm)
        asked = f"log in to {urlsplit(self._base_url).netloc}"
        self._check_realm(realm, asked)
        if self._credentials is not None and self._credentials.username in REFRESH_TOKEN_USERS:
            answer = self._post(realm, challenge, scopes, asked)
            if answer.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
                return self._read(answer, asked)
            answer.close()
        return self._read(self._get(realm, challenge, scopes, asked), asked)

    def _get(self, realm: str, challenge: Challenge, scopes: Scopes, asked: str) -> Answer:
        query = [("scope", scope) for scope in scopes]
        if challenge.service is not None:
            query.insert(0, ("service", challenge.service))
        headers = {}
        if self._credentials is not None:
            query.append(("account", self._credentials.username))
            headers["Authorization"] = self._credentials.basic
        join = "&" if urlsplit(realm).query else "?"
        url = f"{realm}{join}{urlencode(query)}" if query else realm
        return self._exchange("GET", url, headers, None, asked)

    def _post(self, realm: str, challenge: Challenge, scopes: Scopes, asked: str) -> Answer:
        form = {
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "service": challenge.service or "",
            "scope": " ".join(scopes),
            "refresh_token": "" if self._credentials is None else self._credentials.password,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._exchange("POST", realm, headers, Body.of(urlencode(form).encode()), asked)

    def _read(self, answer: Answer, asked: str) -> Token:
        if answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            said = failure(asked, answer, missing=False, secrets=self.secrets)
            remedy = "check the user name and password; some registries want an access token"
            raise AuthenticationFailed(asked, said.happened, remedy)
        if answer.status != HTTPStatus.OK:
            raise failure(asked, answer, missing=False, secrets=self.secrets)
        try:
            return self._token(json.loads(answer.read(MAX_TOKEN_BODY)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            happened = "the token server's answer holds neither token nor access_token"
            raise ProtocolError(asked, happened, status=answer.status) from None

    def _token(self, value: dict[str, object]) -> Token:
        text = value.get("token") or value.get("access_token")
        if not isinstance(text, str):
            raise ValueError("no token")
        lifetime = value.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, (int, float)) else DEFAULT_LIFETIME
        # A tenth earlier than the server says: the token must still live when it arrives there.
        return Token(text, time.monotonic() + seconds * 0.9)

    def _check_realm(self, realm: str, asked: str) -> None:
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ProtocolError(asked, "its Bearer challenge has no usable realm")
        downgrade = self._base_url.startswith("https:") and parts.scheme == "http"
        if downgrade and self._credentials is not None and not is_loopback(parts.hostname):
            happened = f"it sends the password to {parts.hostname} without TLS"
            raise AuthenticationFailed(asked, happened, "use a token server with https")


def azure_refresh_token(
    exchange: Exchange, base_url: str, access_token: str, tenant: str | None = None
) -> Credentials:
    """Exchange a Microsoft Entra access token for Azure Container Registry credentials.

    (`POST /oauth2/exchange`.) Raises AuthenticationFailed, ProtocolError.
    """
    host = urlsplit(base_url).netloc
    asked = f"exchange an access token at {host}"
    form = {"grant_type": "access_token", "service": host, "access_token": access_token}
    if tenant is not None:
        form["tenant"] = tenant
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = Body.of(urlencode(form).encode())
    answer = exchange("POST", urljoin(base_url, "/oauth2/exchange"), headers, body, asked)
    if answer.status != HTTPStatus.OK:
        raise failure(asked, answer, missing=False, secrets=(access_token,))
    try:
        password = json.loads(answer.read(MAX_TOKEN_BODY))["refresh_token"]
    except NoAnswer as error:
        raise no_answer(asked, error) from error
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProtocolError(asked, "the answer holds no refresh_token") from None
    return Credentials(AZURE_USER, str(password))
