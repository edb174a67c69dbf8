"""What a run makes in a registry that is not its own: noted, tried out, and deleted again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import RegistryError, SlotTimeout
from pytest_registry.oci.namespace import Namespace
from pytest_registry.security.files import read_lines
from pytest_registry.sharing.limiting import Say, own_limits
from pytest_registry.sharing.once import made, once
from pytest_registry.sharing.run import Run

FEATURES = "features"
"""The name under which the registry's features are tried out once."""

SECOND_TRY = 5.0
"""Seconds that clearing waits for its slot where another process of the run did so to the end."""

SHOWN = 10
"""How many leftovers a summary names."""


def noting(run: Run) -> Callable[[str], None]:
    """A function that writes down each repository when this process first uses it."""
    known: set[str] = set()

    def note(repository: str) -> None:
        if repository not in known:
            with run.repositories.open("a", encoding="utf-8") as file:
                file.write(f"{repository}\n")
            known.add(repository)  # only now: what could not be written is written when used again

    return note


def try_features(run: Run, endpoint: Endpoint, say: Say) -> None:
    """Find out what the registry lacks, and whether this account may push at all.

    That pushes, so it waits for slots as every operation does. Raises AuthenticationFailed,
    RateLimited, TransferError, SlotTimeout, SlotLost, StateError.
    """
    from pytest_registry.engines.external import connect, telling_of_no_login

    namespace = Namespace(endpoint.prefix, noting(run))
    limits = own_limits(run, endpoint, say)
    with (
        # Not through our gateway, where it would count among the requests of a test.
        connect(endpoint.origin, endpoint.credentials, namespace) as client,
        limits.pull(FEATURES),
        limits.push(FEATURES),
        telling_of_no_login(endpoint.host, endpoint.credentials),
    ):
        once(run, FEATURES, client.missing_features)


def lacking(run: Run) -> Mapping[str, Any]:
    """What the registry is known to lack, each with the reason; empty if nobody asked."""
    return made(run, FEATURES) or {}


def clear(run: Run, endpoint: Endpoint | None, say: Say | None = None) -> list[str]:
    """Delete what the run made in a registry that is not its own; what is left, as references.

    To delete images one has to read their manifests: all of it is one pull. Raises
    AuthenticationFailed, RateLimited, TransferError, SlotTimeout, SlotLost, StateError.
    """
    if endpoint is None or run.id not in endpoint.prefix or run.cleared.exists():
        return []
    from pytest_registry.engines import external

    patience = SECOND_TRY if run.waited.exists() else run.settings.slot_timeout
    try:
        with own_limits(run, endpoint, say, patience).pull(endpoint.prefix):
            if run.cleared.exists():  # by another process, while this one waited
                return []
            left = external.clear(endpoint, read_lines(run.repositories))
            with contextlib.suppress(OSError):
                run.cleared.touch(mode=0o600)
    except SlotTimeout:
        with contextlib.suppress(OSError):
            run.waited.touch(mode=0o600)
        raise
    return left


def summary(run: Run, endpoint: Endpoint) -> list[str]:
    """Clear, and say in a few lines what the registry lacks and what could not be deleted."""
    if endpoint.engine != "external":
        return []
    place = f"{endpoint.origin.partition('://')[2]}/{endpoint.prefix}"  # a gateway is gone by now
    missing = lacking(run)
    lines = [f"the registry lacks {name}: {reason}" for name, reason in missing.items()]
    if run.settings.keep or run.id not in endpoint.prefix:
        return [*lines, f"what the run pushed was kept below {place}"]
    try:
        left = clear(run, endpoint, tell)
    except RegistryError as error:
        return [*lines, f"not deleted below {place}: {error.happened}", how_to(endpoint)]
    if not left:
        return [*lines, f"all below {place} was deleted"]
    more = [f"and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
    return [*lines, "the registry did not delete:", *left[:SHOWN], *more, how_to(endpoint)]


def how_to(endpoint: Endpoint) -> str:
    """The command that finds what runs left."""
    parts = endpoint.prefix.rpartition("/")[0]
    url = f"{endpoint.origin}/{parts}" if parts else endpoint.origin
    return f"look for it later with: python -m pytest_registry sweep --url {url}"


def tell(line: str) -> None:
    """Tell whoever waits for the run's end."""
    print(f"pytest-registry: {line}", file=sys.stderr, flush=True)
