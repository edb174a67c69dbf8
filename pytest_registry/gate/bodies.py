"""Bodies that go wrong while they are sent."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pytest_registry.server import Content
from pytest_registry.server.body import Body

SLICE_SECONDS = 0.05
"""How long a slow body sleeps between two pieces, at most; below 20 bytes per second, where one
byte takes longer, as long as that."""
_LEAST_SLICE = 1


class Given:
    """Bytes as a content."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def length(self) -> int:
        """Their number."""
        return len(self._content)

    def blocks(self) -> Iterator[bytes | memoryview]:
        """All of them at once."""
        yield self._content

    def close(self) -> None:
        """Nothing is held open."""


class _Around:
    """A content that does something to the blocks of another one."""

    def __init__(self, inner: Content) -> None:
        self._inner = inner

    @property
    def length(self) -> int:
        """What was promised, whether or not it is kept."""
        return self._inner.length

    def close(self) -> None:
        """Close the other one."""
        self._inner.close()


class Cut(_Around):
    """Only the first `count` bytes."""

    def __init__(self, inner: Content, count: int) -> None:
        super().__init__(inner)
        self._count = count

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The blocks up to the cut."""
        left = self._count
        for block in self._inner.blocks():
            if left <= 0:
                return
            yield block[:left]
            left -= len(block)


class Corrupt(_Around):
    """One byte, in the middle, has another value."""

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The blocks, of the same length in all."""
        place = self.length // 2
        for block in self._inner.blocks():
            if 0 <= place < len(block):
                changed = bytearray(block)
                changed[place] ^= 0xFF
                yield bytes(changed)
            else:
                yield block
            place -= len(block)


class Slow(_Around):
    """No more than so many bytes per second."""

    def __init__(self, inner: Content, per_second: float) -> None:
        super().__init__(inner)
        self._per_second = per_second

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Small pieces, each after the time that it takes."""
        size = max(_LEAST_SLICE, int(self._per_second * SLICE_SECONDS))
        for block in self._inner.blocks():
            for start in range(0, len(block), size):
                piece = block[start : start + size]
                time.sleep(len(piece) / self._per_second)
                yield piece


class SlowBody:
    """A request's body that is taken no faster than so many bytes per second."""

    def __init__(self, inner: Body, per_second: float) -> None:
        self._inner = inner
        self._per_second = per_second

    @property
    def received(self) -> int:
        """Bytes that were read so far."""
        return self._inner.received

    @received.setter
    def received(self, count: int) -> None:
        self._inner.received = count

    @property
    def length(self) -> int | None:
        """The other one's."""
        return self._inner.length

    @property
    def unread(self) -> int | None:
        """The other one's."""
        return self._inner.unread

    def read_into(self, view: memoryview) -> int:
        """Read a small piece, and take the time for it."""
        size = max(_LEAST_SLICE, int(self._per_second * SLICE_SECONDS))
        count = self._inner.read_into(view[:size])
        time.sleep(count / self._per_second)
        return count


def content_of(body: bytes | Content) -> Content:
    """A response's body as a content."""
    return Given(body) if isinstance(body, bytes) else body
