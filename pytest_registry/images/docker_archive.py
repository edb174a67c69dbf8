"""What `docker save` wrote before docker 25, and what podman and crane write in that form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_registry.errors import ImageNotFound
from pytest_registry.images.files import Files, read_document
from pytest_registry.images.source import Readable, StoredImage, blocks_of, in_memory
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from pytest_registry.oci.names import digest_of_blocks, is_digest

ARCHIVE_FILE = "manifest.json"
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image of the archive: names, and where config and layers are."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> _Entry:
        return cls(value["Config"], tuple(value.get("RepoTags") or ()), tuple(value["Layers"]))


def docker_archive(files: Files, name: str, tag: str | None = None) -> StoredImage:
    """The image of the archive called `tag` (`NAME:TAG`, or the tag alone), or its only one.

    Its manifest is made here, since the archive holds none: an OCI one, which keeps the layers as
    they lie there, mostly not packed. Nothing needs to be packed or kept in memory that way; the
    digest is therefore another than that of a push by the docker command.

    Raises ImageNotFound.
    """
    try:
        entries = [
            _Entry.from_json(each) for each in json.loads(read_document(files, ARCHIVE_FILE))
        ]
        return _image(files, name, _choose(entries, tag, name))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        happened = f"it is no archive of docker's: {type(error).__name__} {error}"
        raise ImageNotFound(f"read {name}", happened, "save the image again") from None


def _choose(entries: list[_Entry], tag: str | None, name: str) -> _Entry:
    found = {each.config: each for each in entries if tag is None or _is_called(each, tag)}
    if len(found) == 1:
        return next(iter(found.values()))
    listed = ", ".join(text for each in entries for text in each.names) or "no names"
    happened = "there is none" if not found else f"it holds {len(found)} images"
    raise ImageNotFound(
        f"read an image of {name}",
        f"{happened}; it lists {listed}",
        "name one with archived_image(path, tag)",
    )


def _is_called(entry: _Entry, tag: str) -> bool:
    return any(tag in (each, each.rpartition(":")[2]) for each in entry.names)


def _image(files: Files, name: str, entry: _Entry) -> StoredImage:
    config = read_document(files, entry.config)
    diff_ids = json.loads(config)["rootfs"].get("diff_ids") or []
    if len(diff_ids) != len(entry.layers) or not all(map(is_digest, diff_ids)):
        raise ValueError("its config and its layers do not fit together")
    described = [
        _describe(files, path, diff_id)
        for path, diff_id in zip(entry.layers, diff_ids, strict=True)
    ]
    about = Descriptor.of(config, OCI_CONFIG)
    blobs: dict[str, Callable[[], Readable]] = {about.digest: in_memory(config)}
    for layer, path in zip(described, entry.layers, strict=True):
        blobs[layer.digest] = _opener(files, path)
    return StoredImage(name, _manifest(about, described), {}, blobs)


def _describe(files: Files, path: str, diff_id: str) -> Descriptor:
    size = files.size(path)
    if size is None:
        raise FileNotFoundError(path)
    stream = files.open(path)
    magic = stream.read(4)
    stream.close()
    if magic.startswith(_GZIP):
        return Descriptor(OCI_LAYER_GZIP, digest_of_blocks(blocks_of(files.open(path))), size)
    if magic.startswith(_ZSTD):
        return Descriptor(f"{OCI_LAYER}+zstd", digest_of_blocks(blocks_of(files.open(path))), size)
    return Descriptor(OCI_LAYER, diff_id, size)  # a plain tar is what the diff id is the digest of


def _opener(files: Files, path: str) -> Callable[[], Readable]:
    return lambda: files.open(path)


def _manifest(config: Descriptor, layers: list[Descriptor]) -> Manifest:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [each.to_json() for each in layers],
    }
    return Manifest.parse(json.dumps(value).encode(), OCI_MANIFEST)
