"""Layers made to order: tar archives in gzip, the same to the byte on every machine.

zlib's output differs between its versions and rewrites, so nothing is compressed: the gzip holds
stored blocks (RFC 1951, section 3.2.4), which every reader takes, and which cost no time. A layer
is made as it is read, so its size is no matter of memory.
"""

from __future__ import annotations

import hashlib
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_registry.images.source import BLOCK, BlockReader, Readable

_GZIP_HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
"""Deflate, no flags, no time, no operating system (RFC 1952, section 2.3)."""
_STORED = 0xFFFF
"""Bytes that one stored block holds at most."""
_LAST = b"\x01\x00\x00\xff\xff"
"""An empty stored block that says it is the last."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a layer; `size` in bytes is what `blocks()` gives."""

    path: str
    size: int
    blocks: Callable[[], Iterable[bytes]]
    mode: int = 0o644

    @classmethod
    def of(cls, path: str, content: bytes, mode: int = 0o644) -> File:
        """A file that is in memory."""
        return cls(path, len(content), lambda: (content,), mode)

    @classmethod
    def executable(cls, path: str, source: Path) -> File:
        """A copy of a file on disk, read when it is needed; it must not change meanwhile."""
        return cls(path, source.stat().st_size, lambda: _read(source), 0o755)

    @classmethod
    def random(cls, path: str, size: int, seed: str) -> File:
        """`size` bytes that no compression makes smaller, always the same for one seed."""
        return cls(path, size, lambda: random_blocks(size, seed))


@dataclass(frozen=True)
class Layer:
    """A tar of files in gzip: digest and size of what travels, and the digest of the tar."""

    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """The digest of the gzip: the layer's descriptor."""
        return self._digests[0]

    @property
    def diff_id(self) -> str:
        """The digest of the tar: the config's `rootfs` (image-spec, config.md)."""
        return self._digests[1]

    @property
    def size(self) -> int:
        """Bytes of the gzip."""
        return self._digests[2]

    def open(self) -> Readable:
        """The gzip from its start."""
        return BlockReader(stored_gzip(self._tar()))

    @cached_property
    def _digests(self) -> tuple[str, str, int]:
        """Found in one pass over the layer, which is not kept."""
        packed, plain, size = hashlib.sha256(), hashlib.sha256(), 0
        for block in stored_gzip(_seen(self._tar(), plain.update)):
            packed.update(block)
            size += len(block)
        return f"sha256:{packed.hexdigest()}", f"sha256:{plain.hexdigest()}", size

    def _tar(self) -> Iterator[bytes]:
        for directory in _parents(self.files):
            yield _entry(directory, 0, 0o755, tarfile.DIRTYPE)
        for file in self.files:
            yield _entry(file.path, file.size, file.mode, tarfile.REGTYPE)
            yield from file.blocks()
            yield bytes(-file.size % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)


def stored_gzip(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """A gzip of the blocks that stores them as they are."""
    check, size = 0, 0
    yield _GZIP_HEADER
    for block in blocks:
        check = zlib.crc32(block, check)
        size += len(block)
        yield b"".join(_stored(memoryview(block)))
    yield _LAST + struct.pack("<II", check, size & 0xFFFFFFFF)


def random_blocks(size: int, seed: str) -> Iterator[bytes]:
    """`size` bytes made of the seed with SHAKE-128: a standard, so that they never change."""
    for start in range(0, size, BLOCK):
        name = f"{seed}/{start // BLOCK}".encode()
        yield hashlib.shake_128(name).digest(min(BLOCK, size - start))


def _stored(block: memoryview) -> Iterator[bytes | memoryview]:
    for start in range(0, len(block), _STORED):
        part = block[start : start + _STORED]
        yield struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF)
        yield part


def _seen(blocks: Iterable[bytes], see: Callable[[bytes], None]) -> Iterator[bytes]:
    for block in blocks:
        see(block)
        yield block


def _entry(path: str, size: int, mode: int, kind: bytes) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode, entry.type = size, mode, kind
    return entry.tobuf(tarfile.PAX_FORMAT)  # takes files over 8 GiB, and is a standard


def _parents(files: Iterable[File]) -> list[str]:
    """The directories that the files lie in, outer ones first."""
    found = {str(parent) for file in files for parent in Path(file.path).parents}
    return sorted(found - {"."})


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
