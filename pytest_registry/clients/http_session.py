"""A plain HTTP session with the registry's credentials and CA, for requests of one's own.

This module imports requests at its top and is itself imported only where that is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from pytest_registry.clients.challenge import Challenge, parse_challenges
from pytest_registry.clients.forks import begin_anew_in_children, give_new_pools
from pytest_registry.errors import AuthenticationFailed, ProtocolError, Unsupported
from pytest_registry.security.certificates import system_authorities
from pytest_registry.security.credentials import Credentials

_REFUSALS = frozenset({400, 401, 403})
"""What token servers answer to a wrong login."""

TIMEOUT = 60.0
"""Seconds for connecting and for each read, unless a call says otherwise."""


class RegistrySession(requests.Session):
    """A requests session whose addresses are relative to the registry: `get("/v2/_catalog")`.

    It logs in as the registry asks for it: Basic, or Bearer with a token for each request's scope.
    Nothing is raised for an answer that says no, nothing is repeated, and no limits apply.
    Proxies, ~/.netrc and the environment's CA do not count.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None,
        *,
        ca_file: Path | None = None,
        client_cert: tuple[Path, Path] | None = None,
    ) -> None:
        super().__init__()
        self.base_url = base_url
        self.trust_env = False
        # Not requests' own list: an authority of the user's own signs many a registry.
        trusted = ca_file or system_authorities()
        self.verify = True if trusted is None else str(trusted)
        if client_cert is not None:
            self.cert = (str(client_cert[0]), str(client_cert[1]))
        self._credentials = credentials
        # Not `auth`, which requests would send to hosts that an absolute address names.
        self._login = _AsAsked(self, credentials)
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=16))
        begin_anew_in_children(self)

    def after_fork(self) -> None:
        """Have connections of this process's own."""
        give_new_pools(self.adapters.values())

    def request(  # type: ignore[override]
        self, method: str, url: str, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """As requests does; `url` may be a path. Redirects are followed, without the login."""
        address = urljoin(self.base_url, url)
        kwargs.setdefault("timeout", TIMEOUT)
        if urlsplit(address).netloc == urlsplit(self.base_url).netloc:
            kwargs.setdefault("auth", self._login)
        return super().request(method, address, *args, **kwargs)

    def token(self, *scopes: str) -> str:
        """A bearer token, for clients that are given one: `token("repository:a/b:pull,push")`.

        Raises Unsupported where the registry does not log in by tokens, AuthenticationFailed,
        ProtocolError where its token server fails.
        """
        answer = super().request("GET", urljoin(self.base_url, "/v2/"), timeout=TIMEOUT)
        offered = {each.scheme: each for each in parse_challenges(_challenges(answer))}
        asked = f"get a token of {urlsplit(self.base_url).netloc}"
        if "bearer" not in offered:
            raise Unsupported(
                asked, "it takes none", "use --registry-auth=bearer", section="no-tokens"
            )
        told = self._ask_for_token(offered["bearer"], scopes)
        if told.status_code in _REFUSALS:
            remedy = "check the user name and password"
            raise AuthenticationFailed(asked, "its token server refuses the login", remedy)
        if not told.ok:
            happened = f"its token server answered {told.status_code} {told.reason}"
            raise ProtocolError(asked, happened, status=told.status_code)
        return str(told.json()["token"])

    def bearer(self, challenge: Challenge, scopes: Sequence[str]) -> str | None:
        """An `Authorization` header with a new token; None where the token server gives none."""
        answer = self._ask_for_token(challenge, scopes)
        return f"Bearer {answer.json()['token']}" if answer.ok else None

    def _ask_for_token(self, challenge: Challenge, scopes: Sequence[str]) -> requests.Response:
        given = self._credentials
        query = {"service": challenge.service or "", "scope": list(scopes)}
        realm = urljoin(self.base_url, challenge.realm)
        headers = {} if given is None else {"Authorization": given.basic}
        # Not our own `request`: the token server may be another host, and wants Basic.
        return super().request("GET", realm, params=query, headers=headers, timeout=TIMEOUT)


class _AsAsked(requests.auth.AuthBase):
    """Answers the registry's challenges (RFC 9110, section 11)."""

    def __init__(self, session: RegistrySession, credentials: Credentials | None) -> None:
        self._session = session
        self._credentials = credentials
        self._basic = False

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._basic and self._credentials is not None:
            request.headers["Authorization"] = self._credentials.basic
        else:
            request.register_hook("response", self._answer)
        return request

    def _answer(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        if response.status_code != requests.codes.unauthorized:
            return response
        offered = {each.scheme: each for each in parse_challenges(_challenges(response))}
        header = self._header(offered)
        if header is None or "Authorization" in response.request.headers:
            return response
        response.content  # noqa: B018 - read to its end, so that the connection is free
        response.close()
        _rewind(response.request)
        again = response.request.copy()
        again.headers["Authorization"] = header
        answer = response.connection.send(again, **kwargs)
        answer.history.append(response)
        answer.request = again
        return answer

    def _header(self, offered: dict[str, Challenge]) -> str | None:
        if "bearer" in offered:
            return self._session.bearer(offered["bearer"], offered["bearer"].scopes)
        if "basic" not in offered or self._credentials is None:
            return None
        self._basic = True
        return self._credentials.basic


def _rewind(request: requests.PreparedRequest) -> None:
    """Have the body ready to be sent once more; raises Unsupported where that cannot be."""
    body: Any = request.body
    if body is None or not (hasattr(body, "read") or iter(body) is body):
        return
    try:
        body.seek(request._body_position)
    except (AttributeError, TypeError, ValueError, OSError) as error:
        raise Unsupported(
            f"send the body of {request.method} {urlsplit(request.url or '').path} again",
            "the registry asked for a login first, and the body can be read only once",
            "give bytes or a file that can seek, or an Authorization header with the request",
            section="body-once",
        ) from error


def _challenges(response: requests.Response) -> list[str]:
    return list(response.raw.headers.getlist("WWW-Authenticate"))
