"""A request's body, by Content-Length or in chunks (RFC 9112, sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.stream import ByteStream, LineTooLong, controls_in

BLOCK = 256 * 1024
"""Bytes read, hashed and written at once. Larger blocks gain nothing and cost memory per upload."""

_SMALL_BLOCK = 32 * 1024
_LINE_LIMIT = 8 * 1024
_TRAILER_LIMIT = 64


class Body(Protocol):
    """What follows a request's head."""

    received: int
    """Bytes of content that were read so far."""

    @property
    def length(self) -> int | None:
        """Bytes in all, None if only the end will tell (chunked)."""

    @property
    def unread(self) -> int | None:
        """Bytes that the client still means to send, None if that is unknown, 0 at the end."""

    def read_into(self, view: memoryview) -> int:
        """Fill `view` as far as the body goes; 0 at its end. Raises ApiError if it breaks off."""


def read_all(body: Body, limit: int) -> bytes | None:
    """The whole body, or None if it is longer than `limit` bytes (the rest stays unread).

    Memory is taken as the body comes: what its client says of it costs nothing.
    """
    if body.length is not None and body.length > limit:
        return None
    most = limit if body.length is None else body.length
    block = memoryview(bytearray(min(_SMALL_BLOCK, most + 1)))
    content = bytearray()
    while len(content) <= limit and (count := body.read_into(block)):
        content += block[:count]
    return None if len(content) > limit else bytes(content)


def skip(body: Body) -> None:
    """Read and forget the rest of the body."""
    buffer = memoryview(bytearray(BLOCK))
    while body.read_into(buffer):
        pass


class SizedBody:
    """A body whose Content-Length says how long it is (0 without one)."""

    def __init__(self, stream: ByteStream, length: int, on_read: Callable[[], None]) -> None:
        self._stream = stream
        self._length = length
        self._on_read = on_read
        self._lost = False
        self.received = 0

    @property
    def length(self) -> int:
        """The Content-Length."""
        return self._length

    @property
    def unread(self) -> int | None:
        """Bytes still to come; unknown once a block of them was lost."""
        return None if self._lost else self._length - self.received

    def read_into(self, view: memoryview) -> int:
        """Fill `view`. Fewer bytes than announced are an abort, never a shorter body.

        What came before the client hung up is given first, for it may be resumed. Of a client that
        falls silent the last block is lost: it learns from where on when it asks.
        """
        wanted = min(len(view), self._length - self.received)
        if wanted == 0:
            return 0
        self._on_read()
        try:
            count = _fill(self._stream, view[:wanted])
        except ApiError:
            self._lost = True
            raise
        if count == 0:
            raise ApiError(
                Code.SIZE_INVALID, f"the body ended after {self.received} of {self._length} bytes"
            )
        self.received += count
        return count


class ChunkedBody:
    """A body in chunks. Chunk extensions and trailers are allowed, capped and ignored."""

    def __init__(self, stream: ByteStream, on_read: Callable[[], None]) -> None:
        self._stream = stream
        self._on_read = on_read
        self._chunk = 0
        self._ended = False
        self.received = 0

    @property
    def length(self) -> None:
        """Unknown until the end."""
        return

    @property
    def unread(self) -> int | None:
        """Unknown until the end."""
        return 0 if self._ended else None

    def read_into(self, view: memoryview) -> int:
        """Fill `view` from as many chunks as it takes."""
        self._on_read()
        filled = 0
        while filled < len(view) and not self._ended:
            if self._chunk == 0:
                self._next_chunk()
                continue
            part = view[filled : filled + self._chunk]
            if _fill(self._stream, part) < len(part):
                raise _broken("it ended within a chunk")
            filled += len(part)
            self._chunk -= len(part)
            if self._chunk == 0 and self._line():
                raise _broken("a chunk is longer than its size")
        self.received += filled
        return filled

    def _next_chunk(self) -> None:
        # Spaces behind the size are allowed for, as some clients align it.
        size = self._line().partition(b";")[0].rstrip(b" \t")
        # int() alone would also take "+1", "0x1" and "1_0": request smuggling lives on that.
        if not 0 < len(size) <= 16 or size.strip(b"0123456789abcdefABCDEF"):  # noqa: PLR2004
            raise _broken("a chunk has no size")
        self._chunk = int(size, 16)
        if self._chunk == 0:
            self._skip_trailers()
            self._ended = True

    def _skip_trailers(self) -> None:
        for _ in range(_TRAILER_LIMIT):
            if not self._line():
                return
        raise _broken("it has too many trailers")

    def _line(self) -> bytes:
        try:
            line = self._stream.line(_LINE_LIMIT)
        except LineTooLong:
            raise _broken("a line of its framing is too long") from None
        except OSError as error:
            raise _stopped(error) from None
        if line is None:
            raise _broken("it ended before its last chunk")
        if controls_in(line):
            raise _broken("a line of its framing holds control characters")
        return line


def _fill(stream: ByteStream, view: memoryview) -> int:
    try:
        return stream.read_into(view)
    except OSError as error:
        raise _stopped(error) from None


def _stopped(error: OSError) -> ApiError:
    if isinstance(error, TimeoutError):
        return ApiError(Code.SIZE_INVALID, "the body stopped coming", status=408)
    return ApiError(Code.SIZE_INVALID, "the client hung up within the body")


def _broken(why: str) -> ApiError:
    return ApiError(Code.SIZE_INVALID, f"the chunked body is broken: {why}")
