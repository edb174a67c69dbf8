"""Contents in memory: for a registry that shall leave no file behind and holds little."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_registry.server.body import BLOCK
from pytest_registry.server.store.contents import Write


class MemoryPartial:
    """A bytearray that grows."""

    def __init__(self, whole: dict[str, memoryview]) -> None:
        self._whole = whole
        self._data = bytearray()

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return len(self._data)

    @contextmanager
    def appending(self) -> Iterator[Write]:
        """Append by copying: the writer's buffer is used again."""
        yield self._data.extend

    def blocks(self) -> Iterator[memoryview]:
        """Read it again from the start."""
        yield from MemoryContent(memoryview(self._data).toreadonly()).blocks()

    def keep(self, digest: str) -> None:
        """Hand over the bytes without copying them."""
        self._whole[digest] = memoryview(self._data).toreadonly()

    def discard(self) -> None:
        """Drop the bytes."""
        self._data = bytearray()


class MemoryContent:
    """A view into bytes that never change again."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    @property
    def length(self) -> int:
        """Bytes in all."""
        return len(self._view)

    def part(self, start: int, length: int) -> MemoryContent:
        """Only some of it."""
        return MemoryContent(self._view[start : start + length])

    def blocks(self) -> Iterator[memoryview]:
        """Slices, without a copy."""
        for start in range(0, len(self._view), BLOCK):
            yield self._view[start : start + BLOCK]

    def close(self) -> None:
        """Nothing is held open."""


class MemoryContents:
    """Contents in a dictionary; each step on it is atomic."""

    def __init__(self) -> None:
        self._whole: dict[str, memoryview] = {}

    def begin(self, name: str) -> MemoryPartial:  # noqa: ARG002 - files need the name
        """Start receiving."""
        return MemoryPartial(self._whole)

    def open(self, digest: str) -> MemoryContent | None:
        """A view of the bytes."""
        view = self._whole.get(digest)
        return None if view is None else MemoryContent(view)

    def has(self, digest: str, size: int) -> bool:  # noqa: ARG002 - bytes here stay what they are
        """Whether there are bytes."""
        return digest in self._whole

    def remove(self, digest: str) -> None:
        """Drop the bytes; who reads them still has them."""
        self._whole.pop(digest, None)

    def retain(self, digests: set[str]) -> None:
        """Drop all others."""
        for digest in self._whole.keys() - digests:
            del self._whole[digest]

    def close(self) -> None:
        """Nothing is shared with another process: there is nothing to clear up."""
