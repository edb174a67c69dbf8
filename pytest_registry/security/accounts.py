"""Accounts with rights, and the file through which a run's processes add some to its registry."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from pytest_registry.errors import OptionError
from pytest_registry.security.credentials import Credentials
from pytest_registry.security.files import write_secret

ACTIONS = ("pull", "push", "delete")
"""What can be done with a repository, as scopes of bearer tokens call it."""

EVERYTHING = "*"
"""The pattern of all repositories."""

Patterns = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Right:
    """Actions on the repositories that `pattern` matches; `*` in it stands for any text."""

    pattern: str
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Account:
    """Who may do what. `catalog`: may list all repositories."""

    credentials: Credentials
    rights: tuple[Right, ...] = ()
    catalog: bool = False

    @classmethod
    def of_everything(cls, credentials: Credentials) -> Account:
        """The account that may do everything."""
        return cls(credentials, (Right(EVERYTHING, frozenset(ACTIONS)),), catalog=True)

    @classmethod
    def allowed(
        cls,
        credentials: Credentials,
        *,
        pull: Patterns = (),
        push: Patterns = (),
        delete: Patterns = (),
        catalog: bool = False,
    ) -> Account:
        """An account that may do this, each with the repositories of one or several patterns.

        Who may push or delete may pull as well: clients look before they do either. Raises
        OptionError for a pattern that is no text.
        """
        rights = [
            *(Right(pattern, frozenset({"pull"})) for pattern in _several(pull)),
            *(Right(pattern, frozenset({"pull", "push"})) for pattern in _several(push)),
            *(Right(pattern, frozenset({"pull", "delete"})) for pattern in _several(delete)),
        ]
        return cls(credentials, tuple(rights), catalog)

    @property
    def name(self) -> str:
        """The user name."""
        return self.credentials.username

    def actions_on(self, repository: str) -> frozenset[str]:
        """What this account may do with a repository."""
        granted = (r.actions for r in self.rights if fnmatchcase(repository, r.pattern))
        return frozenset[str]().union(*granted)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Account:
        """Read what `to_json` made."""
        rights = tuple(Right(pattern, frozenset(actions)) for pattern, actions in value["rights"])
        return cls(Credentials(value["username"], value["password"]), rights, value["catalog"])

    def to_json(self) -> dict[str, Any]:
        """The account as plain data, password included: only for files of mode 0600."""
        return {
            "username": self.credentials.username,
            "password": self.credentials.password,
            "rights": [[right.pattern, sorted(right.actions)] for right in self.rights],
            "catalog": self.catalog,
        }


class Accounts(Protocol):
    """The accounts of a registry; more may come at any time."""

    def all(self) -> Sequence[Account]:
        """Every account that there is now."""


@dataclass(frozen=True, slots=True)
class FixedAccounts:
    """Accounts that stay as they are."""

    accounts: tuple[Account, ...]

    def all(self) -> Sequence[Account]:
        """All of them."""
        return self.accounts


class AccountsFile:
    """Accounts in a file of mode 0600, which is read anew when it was replaced (by rename).

    A run's processes add some, each at any time; the process that serves the registry sees them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._accounts: tuple[Account, ...] = ()

    def all(self) -> Sequence[Account]:
        """Every account that there is now; raises OSError without the file."""
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        with self._lock:
            if seen != self._seen:
                self._accounts = tuple(self._read())
                self._seen = seen
            return self._accounts

    def begin(self, account: Account) -> None:
        """Make the file with one account; raises StateError."""
        self._write([account])

    def add(self, account: Account) -> None:
        """Add an account, in place of one of the same name.

        Raises StateError, and FileNotFoundError where the run is over and its directory gone.
        """
        from pytest_registry.security.locks import locked  # a server only reads

        with locked(self._path.with_suffix(".lock")):
            others = [each for each in self._read() if each.name != account.name]
            self._write([*others, account])

    def _read(self) -> list[Account]:
        return [Account.from_json(each) for each in json.loads(self._path.read_text("utf-8"))]

    def _write(self, accounts: Iterable[Account]) -> None:
        write_secret(self._path, json.dumps([account.to_json() for account in accounts]))


def _several(patterns: object) -> tuple[str, ...]:
    if isinstance(patterns, str):
        return (patterns,)
    given = tuple(patterns) if isinstance(patterns, Iterable) else (patterns,)
    if all(isinstance(each, str) for each in given):
        return given
    raise OptionError(
        f"give an account the repositories {patterns!r}",
        "they are no patterns",
        'give a pattern or several: "team/*", ["team/*", "shared"]; none is ()',
    )
