"""Byte ranges: which part of a blob is wanted, and where a chunk of an upload belongs."""

import re
from typing import NamedTuple

from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.request import Request

_SPEC = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")
_CHUNK = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class Part(NamedTuple):
    """Positions of the first and the last byte, both inclusive."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Bytes in all."""
        return self.last - self.first + 1


def requested_range(request: Request, size: int, tag: str) -> Part | None:
    """The part that a GET asks for, None for all of it (RFC 9110, section 14.2).

    An unknown unit, several ranges and an If-Range that names other content are answered with the
    whole, as that section allows or demands. What is malformed, runs backwards or lies behind the
    end is refused with 416.
    """
    text = request.header("range")
    condition = request.header("if-range")
    if text is None or (condition is not None and condition != tag):
        return None
    unit, equals, wanted = text.partition("=")
    if equals and unit.strip().lower() != "bytes":
        return None
    specs = [spec.strip() for spec in wanted.split(",") if spec.strip()]
    parts = [_part(spec, size) for spec in specs]
    if not parts or all(part is None for part in parts):
        raise _unsatisfiable(size)
    only = parts[0] if len(parts) == 1 else None
    # The end of nothing is all of it, and no range has a name for that.
    return only if only is not None and only.length else None


def chunk_range(request: Request) -> Part | None:
    """Where a chunk says it belongs ("Pushing a blob in chunks"), None if it does not say."""
    text = request.header("content-range")
    if text is None:
        return None
    match = _CHUNK.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise out_of_order(f"Content-Range {text[:60]!r} is not FIRST-LAST")
    return Part(int(match[1]), int(match[2]))


def out_of_order(why: str) -> ApiError:
    """The error for a chunk that does not continue what was received."""
    return ApiError(Code.BLOB_UPLOAD_INVALID, why, status=416)


def _part(spec: str, size: int) -> Part | None:
    match = _SPEC.fullmatch(spec)
    if match is None:
        return None
    if match[3] is not None:
        length = _number(match[3])
        return Part(size - min(length, size), size - 1) if length else None
    first = _number(match[1])
    last = min(_number(match[2]), size - 1) if match[2] else size - 1
    return Part(first, last) if first <= last else None


def _number(text: str) -> int:
    """A position; one beyond every content (some write 2**63 - 1 for the end) stays one."""
    return int(text.lstrip("0")[:18] or "0")


def _unsatisfiable(size: int) -> ApiError:
    return ApiError(
        Code.SIZE_INVALID,
        "the range cannot be satisfied",
        status=416,
        headers={"Content-Range": f"bytes */{size}"},
    )
