"""Where a pull ends: an OCI image layout on disk, or nowhere."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_registry.errors import OptionError, PullError
from pytest_registry.images.source import Readable, blocks_of
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import OCI_INDEX
from pytest_registry.security.locks import holding

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT = {"imageLayoutVersion": "1.0.0"}
REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation that holds a tag in a layout's index (image-annotations.md)."""


def check_directory(to: object) -> None:
    """Raise OptionError for what can be no directory."""
    if not isinstance(to, Path):
        raise OptionError(f"pull to {to!r}", "it is no path", "give a pathlib.Path")
    if to.exists() and not to.is_dir():
        raise OptionError(f"pull to {to}", "it is a file", "give a directory, new or an OCI layout")


@dataclass(frozen=True, slots=True)
class Discard:
    """Reads everything, which verifies it, and keeps nothing."""

    def has(self, blob: Descriptor) -> bool:  # noqa: ARG002
        """Nothing is kept."""
        return False

    def receive(
        self,
        blob: Descriptor,  # noqa: ARG002
        open_blob: Callable[[], Readable],
        *,
        checked: bool,  # noqa: ARG002
    ) -> bool:
        """Read the blob to its end."""
        for _ in blocks_of(open_blob()):
            pass
        return True

    def keep(self, manifest: Manifest) -> None:
        """Nothing to do: manifests were verified when they were read."""

    def finish(self, root: Manifest) -> Descriptor:
        """The descriptor of what was read."""
        return root.describe()


@dataclass(frozen=True, slots=True)
class LayoutWriter:
    """Writes into an OCI layout directory, new or existing; equal blobs are stored once.

    `tag` names the image in the layout's index and takes the name from one that has it.
    """

    directory: Path
    tag: str | None = None

    def has(self, blob: Descriptor) -> bool:
        """Whether the layout holds the blob, in full length."""
        path = self._path(blob.digest)
        return path.is_file() and path.stat().st_size == blob.size

    def receive(
        self, blob: Descriptor, open_blob: Callable[[], Readable], *, checked: bool
    ) -> bool:
        """Write the blob; it gets its name when it is whole."""
        size = self._write(self._path(blob.digest), blocks_of(open_blob()))
        if checked and size != blob.size:
            self._path(blob.digest).unlink()
            happened = f"it holds {size} bytes, its descriptor says {blob.size}"
            raise PullError(f"store blob {blob.digest}", happened, section="other-content")
        return True

    def keep(self, manifest: Manifest) -> None:
        """Write a manifest under its digest."""
        self._write(self._path(manifest.digest), (manifest.content,))

    def finish(self, root: Manifest) -> Descriptor:
        """Write the image's manifest and enter it in the layout's index."""
        self.keep(root)
        entry = root.describe()
        if self.tag is not None:
            entry = entry._replace(extra={"annotations": {REF_NAME: self.tag}})
        self._write(self.directory / LAYOUT_FILE, (json.dumps(LAYOUT).encode(),))
        with _alone_in(self.directory):
            manifests = [*self._others(entry), entry.to_json()]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
            self._write(self.directory / INDEX_FILE, (json.dumps(index, indent=2).encode(),))
        return entry

    def _others(self, entry: Descriptor) -> list[Any]:
        """The index's entries of before that stay: other names, other images."""
        try:
            listed = json.loads((self.directory / INDEX_FILE).read_bytes())["manifests"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []
        return [each for each in listed if not self._replaces(each, entry.digest)]

    def _replaces(self, old: dict[str, Any], digest: str) -> bool:
        """Whether an entry gives way: to one of its name, or without a name to the same image."""
        name = (old.get("annotations") or {}).get(REF_NAME)
        if self.tag is not None or name is not None:
            return name == self.tag
        return old.get("digest") == digest

    def _path(self, digest: str) -> Path:
        return self.directory / "blobs" / digest.replace(":", "/", 1)

    def _write(self, path: Path, blocks: Iterable[bytes]) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                for block in blocks:
                    size += file.write(block)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return size


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Have other pulls into the layout wait with their entries of its index.

    They do not where a directory cannot be locked: on Windows, and on some network file systems.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            descriptor = os.open(directory, os.O_RDONLY)
            held.callback(os.close, descriptor)
            held.enter_context(holding(descriptor))
        yield
