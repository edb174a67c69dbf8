"""`python -m pytest_registry sweep`: what killed runs left in a registry that is not their own."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_registry.errors import (
    AuthenticationFailed,
    ImageNotFound,
    ProtocolError,
    RegistryError,
)
from pytest_registry.values import registry_url

if TYPE_CHECKING:
    from pytest_registry.clients.oci import OciClient

HELP = (
    "Find what runs left in a registry that is not their own, by its prefix and age, and delete it"
    " with --delete. User name and password as for --registry-url."
)
NO_CATALOG = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
"""Statuses of registries that list no repositories."""

BY_NAME = (
    "give the repositories' names after the options (the registry's own web page or API lists them:"
    " those whose path holds pytest-RUN-TIME), or let the registry expire them by a rule on that"
    " pattern"
)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Leftover:
    """A repository that a run made, and the run's age in seconds by the registry's clock."""

    repository: str
    age: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where, how old, and whether to delete."""
    add = parser.add_argument
    add("--url", required=True, metavar="https://HOST[:PORT][/PREFIX]", help="as --registry-url")
    add(
        "--older-than",
        type=age,
        default=age("24h"),
        metavar="AGE",
        help="only runs that began so long ago, such as 90m, 2h, 3d (default: 24h); above your"
        " longest run's time, or a living one loses its images",
    )
    add("--delete", action="store_true", help="delete them; without it they are only listed")
    add(
        "repositories",
        nargs="*",
        metavar="REPOSITORY",
        help="look at these only: for a registry without a catalog",
    )


def run(arguments: argparse.Namespace) -> int:
    """List or delete; status 1 where the registry fails or does not delete, 2 for a bad URL."""
    from pytest_registry.engines.external import account_for, connect, telling_of_no_login

    try:
        url = registry_url(arguments.url)
    except ValueError as accepted:
        print(f"--url takes {accepted}", file=sys.stderr)
        return 2
    try:
        host = urlsplit(url).netloc
        account = account_for(host)[0]
        with connect(url, account) as client, telling_of_no_login(host, account):
            return _sweep(client, url, arguments)
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 1


def age(text: str) -> float:
    """Seconds of an age: a number and one of s, m, h, d."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 90m, 2h or 3d")
    return float(found[1]) * UNITS[found[2]]


def _sweep(client: OciClient, url: str, arguments: argparse.Namespace) -> int:
    prefix = url.partition("://")[2].partition("/")[2]
    names = arguments.repositories or _listed(client)
    found = [each for each in leftovers(client, names, prefix) if each.age > arguments.older_than]
    left = []
    for each in found:
        hours = f"{each.age / UNITS['h']:.1f} h"
        print(f"{client.host}/{each.repository} (its run began {hours} ago)")
        if arguments.delete:
            left += client.clear(each.repository)
    print(_verdict(len(found), left, deleting=arguments.delete))
    return 1 if left else 0


def leftovers(client: OciClient, names: Iterable[str], prefix: str) -> Iterator[Leftover]:
    """Those of `names` that a run made below the prefix and that hold something."""
    from pytest_registry.engines.external import made_by_run

    now = client.time()
    for name in sorted(names):
        began = made_by_run(name, prefix)
        if began is not None and _holds_something(client, name):
            yield Leftover(name, now - began)


def _holds_something(client: OciClient, repository: str) -> bool:
    """Whether it has tags: some catalogs go on listing what was emptied.

    One that this account may not read is told, and left to others.
    """
    try:
        return bool(client.tags(repository))
    except ImageNotFound:
        return False
    except AuthenticationFailed as error:
        print(f"left out {client.host}/{repository}: {error.happened}", file=sys.stderr)
        return False


def _listed(client: OciClient) -> list[str]:
    """The catalog; where there is none, or not for this account, the error says how to go on."""
    client.ping()  # whether it answers and takes the account is another question
    try:
        return client.repositories()
    except AuthenticationFailed as error:
        remedy = f"{error.remedy}; or {BY_NAME}"
        raise AuthenticationFailed(error.asked, error.happened, remedy) from error
    except ProtocolError as error:
        if error.status not in NO_CATALOG:
            raise
        raise ProtocolError(error.asked, error.happened, BY_NAME) from error


def _verdict(found: int, left: list[str], *, deleting: bool) -> str:
    if not found:
        return "nothing was left behind"
    if not deleting:
        return f"{found} left behind; give --delete to delete them"
    if left:
        return "\n".join(["the registry did not delete:", *left])
    return f"{found} deleted"
