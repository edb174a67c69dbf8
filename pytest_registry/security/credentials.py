"""A registry account, and the forms in which servers and clients take it."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HTPASSWD_ROUNDS = 4
"""bcrypt's cheapest cost. A registry checks the hash on EVERY request: cost 12 takes 234 ms each,
cost 4 takes 1 ms, and the password is random and lives for minutes."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password; the password never stands in a repr."""

    username: str
    password: str = field(repr=False)

    @classmethod
    def random(cls, username: str = "pytest") -> Credentials:
        """A fresh account of 192 random bits."""
        return cls(username, secrets.token_urlsafe(24))

    @property
    def basic(self) -> str:
        """The value of an `Authorization: Basic` header (RFC 7617)."""
        return f"Basic {self._encoded}"

    @property
    def _encoded(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

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
