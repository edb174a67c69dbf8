"""A registry account, and the forms in which servers and clients take it."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HTPASSWD_ROUNDS = 4
"""bcrypt's cheapest cost. A registry checks the hash on EVERY request: cost 12 takes 234 ms each,
cost 4 takes 1 ms, and the password is random and lives for minutes."""

AZURE_USER = "00000000-0000-0000-0000-000000000000"
TOKEN_USER = "<token>"  # noqa: S105 - a word of docker's, no secret
REFRESH_TOKEN_USERS = frozenset({AZURE_USER, TOKEN_USER})
"""User names that say "the password is a refresh token": Azure's null GUID, and Docker's word."""

SHORTEST_SECRET = 5
"""Characters."""

LONGEST_WORD = 11
"""Characters of a password that may be a word of any text."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password; the password never stands in a repr."""

    username: str
    password: str = field(repr=False)

    @classmethod
    def random(cls, username: str = "pytest") -> Credentials:
        """A fresh account of 192 random bits."""
        return cls(username, secrets.token_urlsafe(24))

    @classmethod
    def from_basic(cls, header: str) -> Credentials | None:
        """Those of an `Authorization` header; None if it is none by Basic (RFC 7617)."""
        scheme, _, encoded = header.partition(" ")
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True).decode()
        except ValueError:
            return None
        name, colon, password = decoded.partition(":")
        return cls(name, password) if colon and scheme.lower() == "basic" else None

    @property
    def basic(self) -> str:
        """The value of an `Authorization: Basic` header (RFC 7617)."""
        return f"Basic {self._encoded}"

    @property
    def _encoded(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that give the password away: itself, and what base64 makes of it inside a login.

        There are three such texts, one for each position modulo three at which it may begin; the
        characters at both ends, which neighbours change, are left out. Texts so short that they
        stand in any other are no secrets.
        """
        plain = self.password.encode()
        encoded = (base64.urlsafe_b64encode(bytes(n) + plain).decode() for n in range(3))
        inner = [text[start:-4] for text, start in zip(encoded, (0, 2, 3), strict=True)]
        standard = [text.translate(str.maketrans("-_", "+/")) for text in inner]
        texts = dict.fromkeys((self.password, *inner, *standard))
        return tuple(text for text in texts if len(text) >= SHORTEST_SECRET)

    @property
    def is_word(self) -> bool:
        """Whether the password is a mere word, such as tests try in vain and texts are made of."""
        return self.password.isalpha() and len(self.password) <= LONGEST_WORD

    def htpasswd(self) -> str:
        """One line for an Apache-style password file, as the registry image reads it."""
        import bcrypt

        salt = bcrypt.gensalt(rounds=HTPASSWD_ROUNDS)
        return f"{self.username}:{bcrypt.hashpw(self.password.encode(), salt).decode('ascii')}\n"


def client_auth_config(accounts: Mapping[str, Credentials], plugins: Sequence[str] = ()) -> str:
    """A Docker `config.json` (and containers-auth.json) that logs in to each host of `accounts`.

    It is never empty: a config without `auths` makes docker-py fall back to the user's own file.
    `plugins` are directories in which the docker command finds its plugins.
    """
    config: dict[str, object] = {
        "auths": {host: {"auth": credentials._encoded} for host, credentials in accounts.items()}
    }
    if plugins:
        config["cliPluginsExtraDirs"] = list(plugins)
    return json.dumps(config, indent=2)


def redacted(value: Any, secrets: Iterable[str]) -> Any:
    """Plain data (dict, list, tuple, str and others, which stay) with `***` for every secret."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, dict):
        return {key: redacted(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redacted(each, secrets) for each in value)
    return value
