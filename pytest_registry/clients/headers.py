"""What a client reads out of response headers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 10.0**9
"""Longer waits are cut to this: no caller waits for either."""

_PARAMETER = r";[ \t]*([^\s=;,<>]+)(?:[ \t]*=[ \t]*(?:\"([^\"]*)\"|([^\s;,<>\"]+)))?"
_LINK = re.compile(rf"<([^<>]*)>((?:[ \t]*{_PARAMETER})*)")


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3).

    The header holds seconds or an HTTP date; a date in the past is 0; None where it says neither.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:20]), MAX_SECONDS))
    moment = http_date(text)
    if moment is None:
        return None
    current = (now or datetime.now(UTC)).timestamp()
    return min(max(moment - current, 0.0), MAX_SECONDS)


def http_date(value: str | None) -> float | None:
    """The seconds of the epoch of an HTTP date (`Date`); None for anything else."""
    try:
        moment = parsedate_to_datetime(value or "")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def next_link(headers: Iterable[str]) -> str | None:
    """The target of the first `rel="next"` of `Link` headers (RFC 8288), as it stands there."""
    for header in headers:
        for link in _LINK.finditer(header):
            for name, quoted, plain in re.findall(_PARAMETER, link[2]):
                if name.lower() == "rel" and "next" in (quoted or plain).lower().split():
                    return link[1]
    return None


def media_type(value: str | None) -> str:
    """A `Content-Type` without its parameters, which a client ignores; "" where there is none.

    (distribution-spec, "Pulling manifests")
    """
    return (value or "").partition(";")[0].strip()
