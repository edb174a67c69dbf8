"""Bearer tokens (RFC 6750; distribution, "Token Authentication Specification")."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_registry.server.authentication import Account, Challenge
from pytest_registry.server.errors import Code
from pytest_registry.server.scopes import Scope, missing, needed_of_token

if TYPE_CHECKING:
    from pytest_registry.security.signing import SecretSigner
    from pytest_registry.server.request import Request

SERVICE = "pytest-registry"
"""How the token server knows the registry, and the audience of its tokens."""

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path


class Bearer:
    """Tokens of our own token server; every request needs one, `/v2/` too.

    Rights are the token's, not the account's: a token that was given keeps them until it expires.
    """

    def __init__(self, signer: SecretSigner) -> None:
        self._signer = signer

    def authenticate(self, request: Request) -> Account | Challenge:
        """The token's account; 401 for no, a wrong or an expired token, or one without the right.

        A missing right is a 401 too, against RFC 6750: clients then fetch a token with more scopes.
        """
        wanted = needed_of_token(request)
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            return _challenge(request, wanted, "", "a bearer token is needed")
        claims = self._signer.verify(token.strip())
        if claims is None:
            return _challenge(request, wanted, "invalid_token", "the token is not one of ours")
        if problem := _problem(claims, request):
            return _challenge(request, wanted, "invalid_token", problem)
        has = [Scope.from_claim(each) for each in claims["access"]]
        account = Account(claims["sub"], lambda name: not missing(has, [Scope.of_pull(name)]))
        lacks = missing(has, wanted)
        if lacks:
            reason = f"the token of {account.name or 'nobody'} lacks {' '.join(map(str, lacks))}"
            return _challenge(request, wanted, "insufficient_scope", reason, account)
        return account


def _problem(claims: dict[str, Any], request: Request) -> str:
    """Why a token that we signed is not taken; empty if it is."""
    if claims.get("typ") != "access":
        return "this is a refresh token: exchange it for an access token"
    if claims["aud"] not in (SERVICE, request.base_url.partition("://")[2]):
        return f"the token is for the service {claims['aud']!r}"
    late = time.time() - claims["exp"]
    return f"the token expired {late:.1f} s ago" if late >= 0 else ""


def _challenge(
    request: Request,
    wanted: list[Scope],
    error: str,
    reason: str,
    account: Account | None = None,
) -> Challenge:
    parameters = {"realm": f"{request.base_url}{TOKEN_PATH}", "service": SERVICE}
    if wanted:
        parameters["scope"] = " ".join(map(str, wanted))
    if error:
        parameters["error"] = error
    header = "Bearer " + ",".join(f'{name}="{value}"' for name, value in parameters.items())
    code = Code.DENIED if error == "insufficient_scope" else Code.UNAUTHORIZED
    return Challenge(header, reason, code, status=401, account=account)
