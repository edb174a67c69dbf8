"""Which requests a text such as `GET blob` means: a method, a route, or both."""

from __future__ import annotations

from typing import NamedTuple

from pytest_registry.errors import OptionError

ROUTES = ("blob", "manifest", "upload", "tags", "referrers", "token", "catalog", "base")
"""As the server's route table names them; `base` is `/v2/` itself."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

ACCEPTED = f"a method ({', '.join(METHODS)}), a route ({', '.join(ROUTES)}), or both"


class Selector(NamedTuple):
    """Requests by method and route; an empty one is any."""

    method: str = ""
    route: str = ""

    @classmethod
    def parse(cls, text: object, what: str) -> Selector:
        """Read the text; `what` it is completes "use it as ...". Raises OptionError.

        Nothing is guessed: `get`, `blobs` or a second route would otherwise mean no request at all,
        and whoever asserts that there is none would be told so.
        """
        selector = cls.of(text)
        if selector is None:
            raise refused(what, text, ACCEPTED)
        return selector

    @classmethod
    def of(cls, text: object) -> Selector | None:
        """What the text means; None where it is none that is accepted."""
        words = text.split() if isinstance(text, str) else ["?"]
        methods = [word for word in words if word in METHODS]
        routes = [word for word in words if word in ROUTES]
        if len(methods) > 1 or len(routes) > 1 or len(methods) + len(routes) < len(words):
            return None
        return cls("".join(methods), "".join(routes))

    def holds(self, method: str, route: str) -> bool:
        """Whether it means such a request."""
        return self.method in ("", method) and self.route in ("", route)


def refused(what: str, given: object, accepted: str) -> OptionError:
    """The error for something that a test asked for and that cannot be."""
    return OptionError(f"use {given!r} as {what}", "it cannot be carried out", f"give {accepted}")
