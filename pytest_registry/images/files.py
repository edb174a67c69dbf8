"""The files of an archive or a directory, opened by name, by several threads at once."""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from pytest_registry.errors import ImageNotFound
from pytest_registry.images.source import Readable

MAX_DOCUMENT = 16 << 20
"""Bytes of a JSON document of an archive that are read at most."""
MAX_LINKS = 8


class Files(Protocol):
    """Named files; names are relative, parted by slashes."""

    def size(self, name: str) -> int | None:
        """Bytes, None where there is no such file."""

    def open(self, name: str) -> Readable:
        """The file from its start; raises FileNotFoundError."""


def read_document(files: Files, name: str) -> bytes:
    """A whole small file; raises FileNotFoundError, ValueError where it is too large."""
    stream = files.open(name)
    try:
        content = stream.read(MAX_DOCUMENT + 1)
    finally:
        stream.close()
    if len(content) > MAX_DOCUMENT:
        raise ValueError(f"{name} is larger than {MAX_DOCUMENT} bytes")
    return content


@dataclass(frozen=True, slots=True)
class DirectoryFiles:
    """The files below a directory."""

    directory: Path

    def size(self, name: str) -> int | None:
        """Bytes, None where there is no such file."""
        path = self.directory / name
        return path.stat().st_size if path.is_file() else None

    def open(self, name: str) -> Readable:
        """The file from its start."""
        return (self.directory / name).open("rb")


class TarFiles:
    """The files of an open tar, which errors call `name`; it may be closed afterwards.

    Nothing is ever unpacked under its own name. Raises ImageNotFound for what is no tar.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._members: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        self._list(file, name)
        self._descriptor = os.dup(file.fileno())
        # Not a file object: one that nobody closes would warn in the user's test run.
        weakref.finalize(self, os.close, self._descriptor)

    def size(self, name: str) -> int | None:
        """Bytes, None where there is no such file."""
        found = self._members.get(self._resolved(name))
        return None if found is None else found[1]

    def open(self, name: str) -> Readable:
        """The file from its start."""
        found = self._members.get(self._resolved(name))
        if found is None:
            raise FileNotFoundError(name)
        return _Window(self, self._descriptor, *found)

    def _list(self, file: IO[bytes], name: str) -> None:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    self._enter(member)
        except tarfile.TarError as error:
            happened = f"it is no tar archive: {error}"
            raise ImageNotFound(f"read {name}", happened, _REMEDY) from None

    def _enter(self, member: tarfile.TarInfo) -> None:
        name = posixpath.normpath(member.name)
        if member.isreg():
            self._members[name] = (member.offset_data, member.size)
        elif member.issym():  # `docker save` links equal layers of several images
            target = posixpath.join(posixpath.dirname(name), member.linkname)
            self._links[name] = posixpath.normpath(target)
        elif member.islnk():
            self._links[name] = posixpath.normpath(member.linkname)

    def _resolved(self, name: str) -> str:
        name = posixpath.normpath(name)
        for _ in range(MAX_LINKS):
            if name not in self._links:
                break
            name = self._links[name]
        return name


class _Window:
    """A part of a file, read without moving the file's own position: threads share it."""

    def __init__(self, owner: TarFiles, descriptor: int, offset: int, size: int) -> None:
        self._owner = owner  # keeps the descriptor open
        self._descriptor = descriptor
        self._offset = offset
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        parts = []
        while wanted and (part := os.pread(self._descriptor, wanted, self._offset)):
            parts.append(part)
            wanted -= len(part)
            self._offset += len(part)
            self._left -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        self._left = 0


_REMEDY = "give an OCI layout (directory or tar) or what `docker save` wrote"


def tar_files(path: Path) -> TarFiles:
    """The files of a tar, plain or packed: that is unpacked once, into a nameless temporary file.

    Raises ImageNotFound.
    """
    with _plain(path) as file:
        return TarFiles(file, str(path))


def _plain(path: Path) -> IO[bytes]:
    """The tar itself, unpacked where it is packed."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ImageNotFound(f"read {path}", error.strerror or str(error), _REMEDY) from None
    unpack = _unpacker(file.read(6))
    file.seek(0)
    if unpack is None:
        return file
    temporary = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        with file, unpack(file) as unpacked:
            shutil.copyfileobj(unpacked, temporary, 1 << 20)
    except (OSError, EOFError, ValueError) as error:
        temporary.close()
        raise ImageNotFound(f"read {path}", f"it cannot be unpacked: {error}", _REMEDY) from None
    temporary.seek(0)
    return temporary


def _unpacker(magic: bytes) -> Callable[[IO[bytes]], IO[bytes]] | None:
    import bz2
    import gzip
    import lzma

    if magic.startswith(b"\x1f\x8b"):
        return lambda file: cast("IO[bytes]", gzip.open(file, "rb"))
    if magic.startswith(b"BZh"):
        return lambda file: cast("IO[bytes]", bz2.open(file, "rb"))
    if magic.startswith(b"\xfd7zXZ"):
        return lambda file: cast("IO[bytes]", lzma.open(file, "rb"))
    return None
