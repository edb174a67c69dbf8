"""Who asks, and may they: nobody in particular, or an account by Basic authentication.

`bearer.py` is the other scheme. Both implement `Authenticator`; nothing else knows of them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytest_registry.server.errors import Code

if TYPE_CHECKING:
    from pytest_registry.security.accounts import Account as Known
    from pytest_registry.security.accounts import Accounts
    from pytest_registry.server.request import Request

REALM = "pytest-registry"

_NEEDED = "a user name and a password are needed"
_WRONG = "no account has this user name and password"

MayPull = Callable[[str], bool]


def _any(repository: str) -> bool:  # noqa: ARG001 - a MayPull
    return True


class Account(NamedTuple):
    """An account that has proved itself. `may_pull` tells the repositories that it may read."""

    name: str
    may_pull: MayPull = _any


class Challenge(NamedTuple):
    """A refusal: why, and what the client can do (the value of `WWW-Authenticate`, if anything).

    The answer always tells why: a Docker engine tries a push again for 50 s where it does not.
    `account` is who was refused, where that is known; `status` is the code's own if None.
    """

    header: str
    reason: str
    code: Code = Code.UNAUTHORIZED
    status: int | None = None
    account: Account | None = None


class Authenticator(Protocol):
    """Decides who sent a request, and whether they may.

    It is asked before the request is answered, for every route but the public ones.
    """

    def authenticate(self, request: "Request") -> Account | Challenge | None:
        """The account, a challenge to refuse with, or None: anybody may do everything."""


class OpenToAll:
    """No accounts: everybody may do everything."""

    def authenticate(self, request: "Request") -> None:
        """Nobody is asked who they are."""


class Basic:
    """Accounts by HTTP Basic authentication (RFC 7617), each within its rights."""

    def __init__(self, accounts: "Accounts") -> None:
        self._accounts = accounts

    def authenticate(self, request: "Request") -> Account | Challenge:
        """Compare in constant time, so that an answer's delay tells nothing of the password."""
        import hmac  # loads OpenSSL, as digests do

        from pytest_registry.server.scopes import lacking

        scheme, _, text = (request.header("authorization") or "").partition(" ")
        given = text.strip().encode("utf-8", "replace")
        found = None
        for account in self._accounts.all():
            expected = account.credentials.basic.partition(" ")[2].encode()
            if hmac.compare_digest(given, expected):
                found = account
        if found is None or scheme.lower() != "basic":
            reason = _WRONG if scheme.lower() == "basic" else _NEEDED
            return Challenge(f'Basic realm="{REALM}", charset="UTF-8"', reason)
        proved = Account(found.name, _may_pull(found))
        if denied := lacking(found, request):
            # 403, not 401: other credentials are wanted, not these once more (RFC 9110, 15.5.4).
            return Challenge("", f"{found.name} has no {denied}", Code.DENIED, account=proved)
        return proved


def _may_pull(known: "Known") -> MayPull:
    return lambda repository: "pull" in known.actions_on(repository)
