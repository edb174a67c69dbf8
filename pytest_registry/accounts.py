"""Further accounts of a registry, where it is one that knows rights."""

from __future__ import annotations

import secrets
from pathlib import Path

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import Unsupported
from pytest_registry.security.accounts import Account, AccountsFile, Patterns
from pytest_registry.security.credentials import Credentials


def add_account(
    endpoint: Endpoint,
    name: str | None,
    *,
    pull: Patterns,
    push: Patterns,
    delete: Patterns,
    catalog: bool,
) -> Credentials:
    """Make an account with these rights, see `Registry.account`; raises Unsupported, OptionError.

    Its name is nobody else's. A plain one would be the same in every test and on every worker, or
    the run's own, and the file takes an account in place of one of the same name.
    """
    given = Credentials.random(f"{name or 'account'}-{secrets.token_hex(4)}")
    if endpoint.accounts is None:
        raise _no_rights(endpoint, given.username)
    account = Account.allowed(given, pull=pull, push=push, delete=delete, catalog=catalog)
    AccountsFile(Path(endpoint.accounts)).add(account)
    return given


def _no_rights(endpoint: Endpoint, name: str) -> Unsupported:
    why = {
        "none": "nobody logs in to it, so that everybody may do everything",
        "basic": "its file of passwords (htpasswd) knows one account and no rights",
    }
    ours = endpoint.engine != "external"
    return Unsupported(
        f"make the account {name} of the {endpoint.engine} registry",
        why[endpoint.auth] if ours else "its accounts are not ours to make",
        "use --registry-engine=embedded with --registry-auth=basic or bearer, or"
        " --registry-engine=container with --registry-auth=bearer",
        section="no-accounts",
    )
