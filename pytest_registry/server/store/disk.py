"""Contents in files: `blobs/ALGORITHM/XX/DIGEST` whole, `uploads/ID` while they are received.

Both are on one file system, so that a rename makes a content whole at once. There is no fsync: a
registry of a test run need not survive the machine, and a killed process loses nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO

from pytest_registry.oci.names import is_digest
from pytest_registry.server.body import BLOCK
from pytest_registry.server.store.contents import Write

_PARTIAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|manifest-[0-9]+")
"""The names under which contents are received: an upload's id, or a thread's."""


class DiskPartial:
    """A file that grows. It is open only while a request appends to it."""

    def __init__(self, path: str, whole: Callable[[str], str]) -> None:
        self._path = path
        self._whole = whole
        self.size = 0

    @contextmanager
    def appending(self) -> Iterator[Write]:
        """Open the file, unbuffered: blocks are large already."""
        with self._opened() as file:

            def write(view: memoryview) -> None:
                while view:
                    count = file.write(view)
                    self.size += count
                    view = view[count:]

            yield write

    def _opened(self) -> FileIO:
        try:
            return FileIO(self._path, "a")
        except FileNotFoundError:  # an empty directory is what cleaners of temporary files take
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(self._path), mode=0o700)
            return FileIO(self._path, "a")

    def blocks(self) -> Iterator[memoryview]:
        """Read the file again."""
        with FileIO(self._path) as file:
            yield from FileContent(file, 0, self.size).blocks()

    def keep(self, digest: str) -> None:
        """Rename. Equal content that is already there is replaced by itself."""
        target = self._whole(digest)
        if self.size == 0:
            self._opened().close()
        try:
            os.replace(self._path, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            os.replace(self._path, target)

    def discard(self) -> None:
        """Delete the file."""
        _unlink(self._path)


class FileContent:
    """A part of an open file."""

    def __init__(self, file: FileIO, start: int, length: int) -> None:
        self._file = file
        self._start = start
        self.length = length

    def part(self, start: int, length: int) -> FileContent:
        """Only some of it."""
        return FileContent(self._file, self._start + start, length)

    def blocks(self) -> Iterator[memoryview]:
        """Read into one buffer again and again: memory stays constant."""
        buffer = memoryview(bytearray(min(BLOCK, self.length)))
        self._file.seek(self._start)
        left = self.length
        while left:
            count = self._file.readinto(buffer[:left])
            if not count:
                raise OSError(errno.EIO, "a stored content is shorter than it was")
            yield buffer[:count]
            left -= count

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class DiskContents:
    """Contents below a directory."""

    def __init__(self, directory: str) -> None:
        self._whole = f"{directory}/blobs"
        self._partial = f"{directory}/uploads"
        for each in (self._whole, self._partial):
            os.makedirs(each, mode=0o700, exist_ok=True)

    def begin(self, name: str) -> DiskPartial:
        """Nothing is created before the first byte (or the end) comes."""
        return DiskPartial(f"{self._partial}/{name}", self._path)

    def open(self, digest: str) -> FileContent | None:
        """Open the file."""
        try:
            file = FileIO(self._path(digest))
        except FileNotFoundError:
            return None
        return FileContent(file, 0, os.fstat(file.fileno()).st_size)

    def has(self, digest: str, size: int) -> bool:
        """Whether there is a file of that size; raises OSError where that cannot be told."""
        try:
            return os.stat(self._path(digest)).st_size == size
        except FileNotFoundError:
            return False

    def remove(self, digest: str) -> None:
        """Unlink the file; who reads it still has it."""
        _unlink(self._path(digest))

    def retain(self, digests: set[str]) -> None:
        """Clear up after a server that was killed. Only files of names that we give are deleted."""
        for algorithm in _entries(self._whole):
            for beginning in _entries(algorithm.path):
                for file in _entries(beginning.path):
                    digest = f"{algorithm.name}:{file.name}"
                    ours = is_digest(digest) and file.path == self._path(digest)
                    if ours and file.is_file() and digest not in digests:
                        os.unlink(file)
        self.close()

    def close(self) -> None:
        """Clear the directory of uploads of what is received there."""
        for file in _entries(self._partial):
            if _PARTIAL.fullmatch(file.name) and file.is_file():
                _unlink(file.path)

    def _path(self, digest: str) -> str:
        # A digest was matched against its grammar before: it holds no slash and no dot.
        algorithm, _, encoded = digest.partition(":")
        return f"{self._whole}/{algorithm}/{encoded[:2]}/{encoded}"


def _entries(directory: str) -> list[os.DirEntry[str]]:
    """What is in a directory, nothing if there is none."""
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
