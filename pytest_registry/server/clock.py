"""The headers that every response has."""

from __future__ import annotations

import time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Clock:
    """Makes the Date header (RFC 9110, section 6.6.1) once a second, not once a request."""

    def __init__(self) -> None:
        self._now = (0, "")

    @property
    def header(self) -> str:
        """Date, and the version header that old Docker clients look for, each with its CRLF."""
        second, header = self._now
        now = int(time.time())
        if now != second:
            header = f"Date: {http_date(now)}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"
            self._now = (now, header)
        return header


def http_date(seconds: float) -> str:
    """A time as HTTP writes it; `strftime` would write it in the user's language."""
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year}"
        f" {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )
