"""A request's head: the request line and the headers (RFC 9112, sections 3 and 5).

An own parser, because `http.server` reads heads with the email package: twice the time of a small
request, and 20 ms of the start. It is stricter than that one: what two servers could read in two
ways (obsolete line folding, spaces before a colon, two lengths) is refused.
"""

import re
from typing import NamedTuple

from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.stream import controls_in

HEAD_LIMIT = 64 * 1024
"""Bytes of a head; a 10,000-character name or token passes, to be judged by its own rules."""

_HEADERS_LIMIT = 200
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LATER = re.compile(r"HTTP/1\.[2-9]")
_HOST = re.compile(r"[A-Za-z0-9._~-]*(?::[0-9]{0,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{0,5})?")
_SINGLE = frozenset({"content-length", "authorization", "content-range", "content-type"})


class Head(NamedTuple):
    """The parsed head. Header names are in lower case, equal ones are joined by a comma.

    `version` is `HTTP/1.0`, or `HTTP/1.1` for that and what is later (RFC 9110, section 2.5).
    """

    method: str
    target: str
    version: str
    headers: dict[str, str]

    @property
    def origin(self) -> str:
        """The path and query of the target, also of one in absolute form (RFC 9112, 3.2.2)."""
        if (authority := self._authority) is None:
            return self.target
        return self.target.partition("://")[2][len(authority) :]

    @property
    def host(self) -> str | None:
        """Whom the client means: the target's host, which goes before the Host header."""
        return self._authority or self.headers.get("host")

    @property
    def _authority(self) -> str | None:
        """The host of a target in absolute form, None in any other."""
        if self.target.startswith("/"):
            return None
        scheme, separator, rest = self.target.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            return None
        return rest.partition("/")[0]

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to send another request on this connection."""
        options = self.headers.get("connection")
        if options is None:
            return self.version == "HTTP/1.1"
        wish = {option.strip() for option in options.lower().split(",")}
        if self.version == "HTTP/1.1":
            return "close" not in wish
        # In HTTP/1.0 no proxy needs to know where chunks end (RFC 9112, section 6.1).
        return "keep-alive" in wish and "transfer-encoding" not in self.headers

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks; raises ApiError for any other transfer encoding."""
        encoding = self.headers.get("transfer-encoding")
        if encoding is None:
            return False
        if encoding.lower() != "chunked":
            raise ApiError(Code.UNSUPPORTED, f"transfer encoding {encoding!r}", status=501)
        if "content-length" in self.headers:
            # One of the two is a lie, and a proxy may have believed the other (RFC 9112, 6.3).
            raise bad_request("it has both a Content-Length and a Transfer-Encoding")
        return True

    @property
    def content_length(self) -> int:
        """The announced length of the body, 0 without one; raises ApiError if it is no number."""
        text = self.headers.get("content-length")
        if text is None:
            return 0
        if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 - < 2**63
            raise ApiError(Code.SIZE_INVALID, f"Content-Length {text[:40]!r} is not a length")
        return int(text)

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for our word before it sends the body; raises ApiError."""
        expectation = self.headers.get("expect")
        if expectation is None or self.version != "HTTP/1.1":
            return False
        if expectation.lower() != "100-continue":
            raise ApiError(Code.UNSUPPORTED, f"expectation {expectation!r}", status=417)
        return True


def parse_head(raw: bytes) -> Head:
    """Read a head (without its final empty line); raises ApiError."""
    lines = raw.decode("latin-1").split("\r\n")
    if len(lines) > _HEADERS_LIMIT:
        raise ApiError(Code.UNSUPPORTED, "too many headers", status=431)
    if controls_in(raw) != 2 * (len(lines) - 1):  # more than the CR LF between the lines
        raise bad_request("its head holds control characters")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]):  # noqa: PLR2004
        raise bad_request("the request line is not METHOD TARGET VERSION")
    method, target, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        if not _LATER.fullmatch(version):
            raise ApiError(Code.UNSUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken", status=505)
        version = "HTTP/1.1"
    head = Head(method, target, version, _headers(lines))
    _check_host(head)
    return head


def bad_request(why: str, status: int = 400) -> ApiError:
    """The error for what is no HTTP; the specification's table has no code of its own for it."""
    return ApiError(Code.UNSUPPORTED, f"bad request: {why}", status=status)


def _check_host(head: Head) -> None:
    """Refuse what is no host: it goes into Location headers."""
    host = head.headers.get("host")
    if host is None and head.version == "HTTP/1.1":
        raise bad_request("it has no Host header")
    if host is not None and not _HOST.fullmatch(host):
        raise bad_request("its Host header is no host")
    if head.host is not host and not _HOST.fullmatch(head.host or ""):
        raise bad_request("the host of its target is none")


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise bad_request("a header is not NAME: VALUE")
        key, value = name.lower(), value.strip(" \t")
        before = headers.get(key)
        if before is not None:
            if key == "host":  # equal ones too (RFC 9112, section 3.2)
                raise bad_request("it has two Host headers")
            if key in _SINGLE and before != value:
                raise bad_request(f"it has two different {name} headers")
            value = before if key in _SINGLE else f"{before}, {value}"
        headers[key] = value
    return headers
