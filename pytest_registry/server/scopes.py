"""Scopes: what a request needs, and what an account gets of what it asks for.

They are written `TYPE:NAME:ACTION[,ACTION...]` (distribution, "Token Scope Documentation").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pytest_registry.security.accounts import Account
from pytest_registry.server.request import Request
from pytest_registry.server.uploads import asked_mount

CATALOG = "catalog"
ANYTHING = "*"


class Scope(NamedTuple):
    """Actions on one resource: a repository, or the registry's catalog."""

    kind: str
    name: str
    actions: frozenset[str]

    def __str__(self) -> str:
        # In the order that Docker writes them; some token servers compare texts.
        order = {"pull": 0, "push": 1, "delete": 2}
        actions = sorted(self.actions, key=lambda each: (order.get(each, 3), each))
        return f"{self.kind}:{self.name}:{','.join(actions)}"

    @classmethod
    def of_pull(cls, repository: str) -> Scope:
        """To read a repository."""
        return cls("repository", repository, frozenset({"pull"}))

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read a scope; raises ValueError."""
        kind, _, rest = text.partition(":")
        name, colon, actions = rest.rpartition(":")
        if not (colon and kind and name):
            raise ValueError(f"{text[:200]!r} is no scope")
        kind = kind.partition("(")[0]  # a class, as in `repository(plugin)`, changes nothing here
        return cls(kind, name, frozenset(actions.split(",")) - {""})

    @classmethod
    def from_claim(cls, claim: dict[str, Any]) -> Scope:
        """Read an entry of a token's `access`."""
        return cls(claim["type"], claim["name"], frozenset(claim["actions"]))

    def to_claim(self) -> dict[str, Any]:
        """An entry of a token's `access`."""
        return {"type": self.kind, "name": self.name, "actions": sorted(self.actions)}


def needed(request: Request) -> list[Scope]:
    """What a request that the route table knows needs; nothing but an account for `/v2/`."""
    if request.route == CATALOG:
        return [Scope("registry", CATALOG, frozenset({ANYTHING}))]
    if not request.repository:
        return []
    return [Scope("repository", request.repository, frozenset({_action(request)}))]


def needed_of_token(request: Request) -> list[Scope]:
    """The same, and the source of a mount: clients fetch a token that reads it, too.

    Who has no token cannot fetch another: what may not be read is not mounted then ("it SHOULD
    return a 202"), and pushed.
    """
    mount = asked_mount(request)
    source = None if mount is None else mount.source
    return [*needed(request), *([] if source is None else [Scope.of_pull(source)])]


def granted(account: Account, asked: Scope) -> Scope | None:
    """The part of a scope that an account may have, None for nothing of it."""
    if (asked.kind, asked.name) == ("registry", CATALOG):
        actions = asked.actions if account.catalog else frozenset[str]()
    elif asked.kind == "repository":
        rights = account.actions_on(asked.name)
        actions = rights if ANYTHING in asked.actions else asked.actions & rights
    else:
        actions = frozenset()
    return Scope(asked.kind, asked.name, actions) if actions else None


def lacking(account: Account, request: Request) -> str:
    """The rights that an account lacks for a request, in words; empty if it has them."""
    wanted = needed(request)
    return " ".join(map(str, missing(filter(None, (granted(account, s) for s in wanted)), wanted)))


def missing(has: Iterable[Scope], wanted: Iterable[Scope]) -> list[Scope]:
    """What is wanted and not there."""
    held: dict[tuple[str, str], frozenset[str]] = {}
    for scope in has:
        key = (scope.kind, scope.name)
        held[key] = held.get(key, frozenset()) | scope.actions
    return [
        scope
        for scope in wanted
        if not scope.actions <= held.get((scope.kind, scope.name), frozenset())
    ]


def _action(request: Request) -> str:
    if request.route == "upload":
        return "push"
    if request.method == "DELETE":
        return "delete"
    return "pull" if request.method in ("GET", "HEAD") else "push"
