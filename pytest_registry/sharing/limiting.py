"""The limits of a run's registry: which mechanism keeps them, and who shares them."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, unquote

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.limits.slots import Slots
from pytest_registry.security.credentials import Credentials
from pytest_registry.settings import Settings
from pytest_registry.sharing.run import Run

Say = Callable[[str], None]
"""Told a line when one waits for long for a slot."""


def limits_of(run: Run, endpoint: Endpoint, say: Say) -> Limits:
    """The limits that the settings ask for, each operation recorded; raises StateError."""
    settings = run.settings
    policy = LimitPolicy(settings.pull_limit, settings.push_limit, settings.slot_timeout)
    return Limits(_slots(run, endpoint), policy, log=run.events, report=say)


def own_limits(
    run: Run, endpoint: Endpoint, say: Say | None, patience: float | None = None
) -> Limits:
    """The same limits for what the plugin itself does there, which is no operation of the tests.

    `patience`: seconds of waiting, unless as the settings say. Raises StateError.
    """
    settings = run.settings
    timeout = settings.slot_timeout if patience is None else patience
    policy = LimitPolicy(settings.pull_limit, settings.push_limit, timeout)
    return Limits(_slots(run, endpoint), policy, report=say)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """What would give away the password of the Redis that keeps the limits."""
    url = settings.limits_url or ""
    # By hand: what is no good address may hold a password all the same.
    password = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    query = parse_qs(url.partition("?")[2])
    texts = [password, unquote(password)]
    texts += query.get("password", []) + query.get("ssl_password", [])
    return tuple({each for text in texts for each in Credentials("", text).secrets})


def _slots(run: Run, endpoint: Endpoint) -> Slots:
    settings = run.settings
    if settings.limits_url is not None and endpoint.engine == "external":
        from pytest_registry.limits.distributed import RedisSlots

        return RedisSlots(settings.limits_url, _key(endpoint), settings.limits_lease)
    # A registry that other runs use too has one set of slots for all runs of this user.
    place = run.state_directory if endpoint.engine == "external" else run.registry_home
    return file_slots(_key(endpoint), place / "limits")


def _key(endpoint: Endpoint) -> str:
    """One name for a registry, whether or not its address says the scheme's own port."""
    scheme, _, host = endpoint.origin.partition("://")
    return host.removesuffix(":443" if scheme == "https" else ":80")
