"""What a handler is given: a request that has been read up to its body."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_registry.server.authentication import Account
from pytest_registry.server.body import Body

_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")


class Request:
    """One request. Names of `headers` are lower case; `path` is percent-decoded, `query` is not.

    The application fills in `route`, `repository` and `reference` (a tag, a digest or an upload's
    id) from the route table and `account` from the authenticator, before any handler sees it.
    `base_url` is where the client reached us, without a slash at the end.
    """

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        *,
        headers: Mapping[str, str],
        body: Body,
        base_url: str,
        client: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.base_url = base_url
        self.client = client
        self.route = ""
        self.repository = ""
        self.reference = ""
        self.account: Account | None = None
        self._parameters: dict[str, list[str]] | None = None

    def with_(
        self, headers: Mapping[str, str], body: Body | None = None, method: str | None = None
    ) -> Request:
        """The same request with other headers, and where given another body or method."""
        other = Request(
            self.method if method is None else method,
            self.path,
            self.query,
            headers=headers,
            body=self.body if body is None else body,
            base_url=self.base_url,
            client=self.client,
        )
        other.route, other.repository = self.route, self.repository
        other.reference, other.account = self.reference, self.account
        return other

    def header(self, name: str) -> str | None:
        """A header by its lower-case name."""
        return self.headers.get(name)

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, None where it is absent."""
        values = self.parameters(name)
        return values[0] if values else None

    def parameters(self, name: str) -> list[str]:
        """All values of a query parameter, in order."""
        if not self.query:
            return []
        if self._parameters is None:
            self._parameters = parse_query(self.query)
        return self._parameters.get(name, [])


def unquote(text: str) -> str:
    """Percent-decode once. What is no UTF-8 becomes U+FFFD, which no grammar of ours accepts."""
    if "%" not in text:
        return text
    decoded = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.encode("latin-1"))
    return decoded.decode("utf-8", "replace")


def parse_query(query: str) -> dict[str, list[str]]:
    """Read `a=1&b=2&a=3`.

    A plus stays a plus: it means itself in a URL, and clients send `application/x+json` as it is.
    Nothing that we are asked holds a space, which is what it means in forms.
    """
    parameters: dict[str, list[str]] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        parameters.setdefault(unquote(name), []).append(unquote(value))
    return parameters
