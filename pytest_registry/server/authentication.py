"""Who asks: nobody in particular, or the holder of the run's credentials.

Other schemes (bearer tokens) implement `Authenticator`; nothing else changes.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_registry.security.credentials import Credentials
    from pytest_registry.server.request import Request

REALM = "pytest-registry"


@dataclass(frozen=True, slots=True)
class Account:
    """An account that has proved itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an unauthenticated client is told to do: the value of `WWW-Authenticate`."""

    header: str
    reason: str = ""


class Authenticator(Protocol):
    """Decides who sent a request. It is asked before the request is answered, for every route."""

    def authenticate(self, request: Request) -> Account | Challenge | None:
        """The account, a challenge to refuse with 401, or None: anybody may do everything."""


class OpenToAll:
    """No accounts: everybody may do everything."""

    def authenticate(self, request: Request) -> None:
        """Nobody is asked who they are."""


class Basic:
    """One account, by HTTP Basic authentication (RFC 7617)."""

    def __init__(self, credentials: Credentials) -> None:
        self._account = Account(credentials.username)
        self._expected = credentials.basic.partition(" ")[2].encode()
        self._challenge = Challenge(f'Basic realm="{REALM}", charset="UTF-8"')

    def authenticate(self, request: Request) -> Account | Challenge:
        """Compare in constant time, so that an answer's delay tells nothing of the password."""
        scheme, _, given = (request.header("authorization") or "").partition(" ")
        matches = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._expected)
        return self._account if matches and scheme.lower() == "basic" else self._challenge
