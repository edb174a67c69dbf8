"""Who asks for a token, and for which repository: told by the request, before it is answered.

The route is public, for it is how one logs in, so that no authenticator has named anybody. But
a fault of one test must meet the tokens of that test, and no others.
"""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs

from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Proceed, Request, Response
from pytest_registry.server.authentication import Account
from pytest_registry.server.body import read_all

FORM_LIMIT = 64 * 1024
_UNAUTHORIZED = 401


def introduced(request: Request, proceed: Proceed) -> Proceed:
    """Note the account and the repository that a token is asked for.

    With the answer of what is returned, who was refused is nobody's account any more.
    """
    asked = {**parse_qs(request.query), **_form(request)}
    if request.account is None:
        request.account = _account(request, asked)
    scopes = [scope for text in asked.get("scope", ()) for scope in text.split()]
    # repository:NAME:ACTIONS, where NAME may begin with HOST:PORT.
    names = [scope.partition(":")[2].rpartition(":")[0] for scope in scopes if scope[:4] == "repo"]
    request.repository = request.repository or next(iter(names), "")

    def answer(request: Request) -> Response:
        response = proceed(request)
        if response.status == _UNAUTHORIZED:
            request.account = None
        return response

    return answer


def subject(token: str) -> str:
    """Whom a token is for; empty where it does not tell."""
    parts = token.strip().split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return str(claims.get("sub", ""))
    except (IndexError, ValueError, AttributeError):
        return ""


def _account(request: Request, asked: dict[str, list[str]]) -> Account | None:
    """Whom a request for a token names: by Basic, or in its form."""
    login = Credentials.from_basic(request.header("authorization") or "")
    if login is not None:
        # With a refresh token as its password, the name says but that.
        return Account(subject(login.password) or login.username)
    if "username" in asked:
        return Account(asked["username"][0])
    named = subject(asked.get("refresh_token", [""])[0])
    return Account(named) if named else None


def _form(request: Request) -> dict[str, list[str]]:
    """The form that a request sends, which stays to be read."""
    length = request.body.length
    if request.method != "POST" or not length or length > FORM_LIMIT:
        return {}
    content = read_all(request.body, FORM_LIMIT) or b""
    request.body = Reread(content)
    return parse_qs(content.decode("utf-8", "replace"))


class Reread:
    """A body that was read, to be read once more."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self.received = len(content)

    @property
    def length(self) -> int:
        """Bytes in all."""
        return len(self._content)

    @property
    def unread(self) -> int:
        """Nothing is left on the connection."""
        return 0

    def read_into(self, view: memoryview) -> int:
        """Fill `view` as far as it goes."""
        part = self._content[self._at : self._at + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)
