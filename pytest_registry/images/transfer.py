"""Moving whole images: blobs in parallel, then manifests, children before their index."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from pytest_registry.errors import ProtocolError
from pytest_registry.images.source import ImageSource, Readable
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest

THREADS = 4
"""Blobs that move at once."""

MAX_DEPTH = 8
"""Indexes within indexes; more is taken for an attack or a mistake."""


class Progress(Protocol):
    """Who wants to know how a transfer goes. Called from several threads."""

    def begin(self, blob: Descriptor) -> None:
        """A config or layer begins to move."""

    def moved(self, blob: Descriptor, size: int) -> None:
        """`size` more bytes of it have moved."""

    def end(self, blob: Descriptor, *, skipped: bool) -> None:
        """It is there; `skipped`: it was there before, or was mounted."""


class Destination(Protocol):
    """Where whole images go, one repository of a registry, or a layout."""

    def has(self, blob: Descriptor) -> bool:
        """Whether the blob need not be sent."""

    def receive(
        self, blob: Descriptor, open_blob: Callable[[], Readable], *, checked: bool
    ) -> bool:
        """Take a blob; False where it came without its bytes being moved (mounted).

        `checked`: the size must be the descriptor's.
        """

    def keep(self, manifest: Manifest) -> None:
        """Take a child manifest, by the digest that it is known by."""

    def finish(self, root: Manifest) -> Descriptor:
        """Take the image's own manifest or index, last of all."""


class Meter:
    """Tells the bytes that moved to whoever wants to know. Safe to share between threads."""

    def __init__(
        self, transferred: Callable[[int], None] | None = None, progress: Progress | None = None
    ) -> None:
        self._transferred = transferred
        self._progress = progress
        self._lock = threading.Lock()

    def begin(self, blob: Descriptor) -> None:
        """A blob begins to move."""
        if self._progress is not None:
            self._progress.begin(blob)

    def moved(self, blob: Descriptor, size: int) -> None:
        """`size` more bytes of it moved."""
        if self._transferred is not None:
            with self._lock:
                self._transferred(size)
        if self._progress is not None:
            self._progress.moved(blob, size)

    def end(self, blob: Descriptor, *, skipped: bool) -> None:
        """It is there."""
        if self._progress is not None:
            self._progress.end(blob, skipped=skipped)


@dataclass(frozen=True, slots=True)
class Counted:
    """A stream that reports what is read of it."""

    stream: Readable
    blob: Descriptor
    meter: Meter

    def read(self, size: int = -1, /) -> bytes:
        """Read and report."""
        content = self.stream.read(size)
        self.meter.moved(self.blob, len(content))
        return content

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()


def transfer(
    source: ImageSource, destination: Destination, meter: Meter | None = None
) -> Descriptor:
    """Move the whole image; returns the descriptor of what the destination now holds.

    Raises TransferError and its subclasses; what had moved before stays where it is.
    """
    meter = meter or Meter()
    root = source.root()
    for manifest in children_of(source, root):
        _move_blobs(source, destination, manifest, meter)
        destination.keep(manifest)
    _move_blobs(source, destination, root, meter)
    return destination.finish(root)


def children_of(source: ImageSource, root: Manifest, depth: int = 1) -> Iterator[Manifest]:
    """Every manifest below an index, children before the index that lists them."""
    if depth > MAX_DEPTH:
        raise ProtocolError(f"read {source.name}", f"indexes lie over {MAX_DEPTH} deep")
    for descriptor in _distinct(root.children):
        child = source.child(descriptor)
        yield from children_of(source, child, depth + 1)
        yield child


def _move_blobs(
    source: ImageSource, destination: Destination, manifest: Manifest, meter: Meter
) -> None:
    unsent = source.flaws.unsent
    wanted = [blob for blob in _distinct(manifest.sent_blobs) if blob.digest not in unsent]
    _in_parallel(lambda blob: _move(source, destination, blob, meter), wanted)


def _move(source: ImageSource, destination: Destination, blob: Descriptor, meter: Meter) -> None:
    meter.begin(blob)
    moved = not destination.has(blob) and destination.receive(
        blob, lambda: Counted(source.open(blob), blob, meter), checked=not source.flaws.unchecked
    )
    meter.end(blob, skipped=not moved)


def _distinct(descriptors: Iterable[Descriptor]) -> list[Descriptor]:
    return list({each.digest: each for each in descriptors}.values())


def _in_parallel(work: Callable[[Descriptor], None], items: list[Descriptor]) -> None:
    """Do `work` for each; the first error ends what has not begun, and is raised."""
    if len(items) == 1:
        work(items[0])
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="pytest-registry-blob") as threads:
        futures = [threads.submit(work, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # for Ctrl-C too, which would else wait for all of them
            for future in futures:
                future.cancel()
        for future in futures:  # of two errors always the same one
            if future in done:
                future.result()
