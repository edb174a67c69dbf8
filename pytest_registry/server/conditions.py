"""Conditional requests: `If-Match` and `If-None-Match` (RFC 9110, section 13).

A digest is the entity tag of its content, and a strong one. There is no date to compare with.
"""

from __future__ import annotations

from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.store.store import Condition


def unchanged(request: Request, digest: str) -> Response | None:
    """304 if the client says that it has this content already; raises ApiError if it wants other.

    For GET and HEAD. `If-Match` is asked first (section 13.2.2).
    """
    if not _is_wanted(request, digest):
        raise _failed(digest)
    if _is_news(request, digest):
        return None
    return Response(304, {"ETag": f'"{digest}"', "Docker-Content-Digest": digest})


def condition(request: Request) -> Condition:
    """What a PUT or DELETE depends on; the store asks it in the moment of the change."""

    def check(present: str | None) -> None:
        if not (_is_wanted(request, present) and _is_news(request, present)):
            raise _failed(present)

    return check


def _is_wanted(request: Request, present: str | None) -> bool:
    """`If-Match`, by strong comparison (section 13.1.1)."""
    wanted = request.header("if-match")
    return wanted is None or (present is not None and _names(wanted, present))


def _is_news(request: Request, present: str | None) -> bool:
    """`If-None-Match`, by weak comparison (section 13.1.2)."""
    known = request.header("if-none-match")
    return known is None or present is None or not _names(known.replace('W/"', '"'), present)


def _names(tags: str, digest: str) -> bool:
    return tags.strip() == "*" or f'"{digest}"' in [tag.strip() for tag in tags.split(",")]


def _failed(present: str | None) -> ApiError:
    # The specification has no code for it. Of its codes this one alone says no more than that the
    # registry will not: nothing is wrong with the name, the digest or the manifest.
    why = f"a precondition failed: {present or 'nothing'} is there"
    return ApiError(Code.DENIED, why, status=412)
