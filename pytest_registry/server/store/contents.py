"""Where bytes are kept, by digest. Disk and memory each implement it; nothing else knows which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from pytest_registry.server.response import Content

Write = Callable[[memoryview], None]


class Partial(Protocol):
    """Content that is still being received. It has no digest yet, and no reader but its writer."""

    @property
    def size(self) -> int:
        """Bytes received so far."""

    def appending(self) -> AbstractContextManager[Write]:
        """A function that appends. Nothing is held open outside of the context."""

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Read it again from the start."""

    def keep(self, digest: str) -> None:
        """Make it whole under its digest in one step: readers see nothing or all of it."""

    def discard(self) -> None:
        """Leave nothing of it. Changes nothing once it was kept, and when called twice."""


class StoredContent(Content, Protocol):
    """Whole content that is open for reading, all of it or a part."""

    def part(self, start: int, length: int) -> Content:
        """Only `length` bytes from `start`, instead of the whole."""


class Contents(Protocol):
    """Whole contents, each stored once however many repositories hold it."""

    def begin(self, name: str) -> Partial:
        """Start receiving; `name` is unique among what is being received."""

    def open(self, digest: str) -> StoredContent | None:
        """Open for reading; stays readable if it is removed meanwhile. None if it is not there."""

    def has(self, digest: str, size: int) -> bool:
        """Whether it is there with that many bytes; raises OSError where that cannot be told."""

    def remove(self, digest: str) -> None:
        """Forget it, if it is there."""

    def retain(self, digests: set[str]) -> None:
        """Forget every content but these, and everything that is only partly received."""

    def close(self) -> None:
        """Discard what is only partly received."""
