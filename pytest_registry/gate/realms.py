"""Token servers, which clients reach through the gateway too, wherever they are.

A registry names its token server in the challenge of a 401: `Bearer realm="URL",...`. The gateway
puts its own address there, keeps the path, and passes what comes on that path on to where the
registry had sent it. So requests for tokens meet faults and throttles, and are in the log.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from pytest_registry.gate.origin import Origin

_BEARER = re.compile(r'(\bbearer\s(?:[^"]|"[^"]*")*?\brealm=")([^"]*)"', re.IGNORECASE)

_AZURES = ("/oauth2/token", "/oauth2/exchange")
"""Azure has a second step, of which its challenges do not tell, beside the first."""


class Realms:
    """What is known of one registry's token servers. Used by many threads."""

    def __init__(self, registry: Origin) -> None:
        self._registry = registry
        self._origins = {registry.url: registry}
        self._by_path: dict[str, Origin] = {}

    def find(self, path: str) -> Origin | None:
        """The host that gives tokens on this path; None if it is no token server's."""
        return self._by_path.get(path)

    def rewritten(self, challenge: str, base_url: str) -> str:
        """A WWW-Authenticate header whose realm is the gateway, at `base_url`."""
        found = _BEARER.search(challenge)
        place = None if found is None else self._learn(found[2])
        if found is None or place is None:
            return challenge
        return f"{challenge[: found.start(2)]}{base_url}{place}{challenge[found.end(2) :]}"

    def close(self) -> None:
        """Close the connections that are kept to them."""
        for each in self._origins.values():
            each.close()

    def _learn(self, realm: str) -> str | None:
        """The realm's path and query, which will be passed on from now; None if it will not be."""
        parts = urlsplit(realm)
        if not parts.netloc or parts.path in ("", "/") or not self._may_pass(realm):
            return None
        url = f"{parts.scheme}://{parts.netloc}"
        origin = self._origins.get(url) or self._new(url)
        self._by_path.update(dict.fromkeys(_beside(parts.path), origin))
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def _new(self, url: str) -> Origin:
        tls = None
        if url.startswith("https:"):
            tls = self._registry.tls or ssl.create_default_context()
        return self._origins.setdefault(url, Origin(url, tls))

    def _may_pass(self, realm: str) -> bool:
        """Not where a login would leave TLS: who speaks to the gateway could not see that."""
        parts = urlsplit(realm)
        if parts.scheme == "https":
            return True
        return parts.scheme == "http" and (self._registry.tls is None or _is_here(parts.hostname))


def _beside(path: str) -> Iterable[str]:
    return _AZURES if path == _AZURES[0] else (path,)


def _is_here(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"
