"""Lists in pages: `n`, `last` and the `Link` header ("Listing Tags")."""

from __future__ import annotations

from bisect import bisect_right

from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.request import Request


def page(request: Request, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """The page of a sorted list that is asked for, and the headers that lead to the next one."""
    last = request.parameter("last")
    rest = names if last is None else names[bisect_right(names, last) :]
    count = _count(request)
    if count is None or count >= len(rest):
        return rest, {}
    # "When n is zero, this endpoint MUST return an empty list, and MUST NOT include a Link header."
    return rest[:count], link(request, f"n={count}&last={rest[count - 1]}") if count else {}


def link(request: Request, query: str) -> dict[str, str]:
    """A Link to the same list, further on (RFC 5988). What we put there needs no escapes."""
    return {"Link": f'<{request.base_url}{request.path}?{query}>; rel="next"'}


def _count(request: Request) -> int | None:
    text = request.parameter("n")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise ApiError(Code.UNSUPPORTED, f"n={text[:60]!r} is not a number", status=400)
    # Beyond 18 digits it is more than there can be; Python refuses to read thousands of them.
    return int(text.lstrip("0")[:18] or "0")
