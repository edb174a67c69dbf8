"""Images that are wrong on purpose, to see what a registry, a client or an engine makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from pytest_registry.errors import OptionError
from pytest_registry.images.source import SOUND, Flaws, Readable, in_memory
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import MANIFESTS
from pytest_registry.oci.names import digest_of

Kind = Literal[
    "wrong-digest",
    "wrong-size",
    "missing-blob",
    "wrong-diff-id",
    "unknown-media-type",
    "malformed-manifest",
]
"""What is wrong:

- `wrong-digest`: a layer is uploaded under another content's digest (DIGEST_INVALID).
- `wrong-size`: the manifest says one byte more of a layer than it has; a registry may refuse it
  (MANIFEST_INVALID, SIZE_INVALID) or leave it to who pulls.
- `missing-blob`: a layer is never uploaded (MANIFEST_BLOB_UNKNOWN).
- `wrong-diff-id`: the config names another tar than the layer holds; registries take that, engines
  that unpack it refuse.
- `unknown-media-type`: the manifest is of a type that nobody knows; a registry may take it.
- `malformed-manifest`: the manifest is cut off in the middle (MANIFEST_INVALID).
"""

UNKNOWN_TYPE = "application/vnd.pytest-registry.unknown.v1+json"

Blobs = dict[str, Callable[[], Readable]]
Broken = tuple[Manifest, Blobs, Flaws]


def broken(kind: Kind, manifest: Manifest, blobs: Blobs) -> Broken:
    """The manifest and blobs with one thing wrong; raises OptionError for an unknown kind.

    The image must be a single one with a layer: of an index, break one of its images.
    """
    if kind not in get_args(Kind):
        accepted = ", ".join(get_args(Kind))
        raise OptionError("break an image", f"there is no kind {kind!r}", f"give one of {accepted}")
    if manifest.media_type not in MANIFESTS or not manifest.layers:
        remedy = "break a single image with one layer or more"
        raise OptionError("break an image", "it is an index, or has no layers", remedy)
    return _KINDS[kind](manifest, blobs)


def _wrong_digest(manifest: Manifest, blobs: Blobs) -> Broken:
    layer = manifest.layers[-1]
    other = in_memory(b"\0" * layer.size)
    return manifest, {**blobs, layer.digest: other}, SOUND


def _wrong_size(manifest: Manifest, blobs: Blobs) -> Broken:
    value = json.loads(manifest.content)
    value["layers"][-1]["size"] += 1
    return _again(manifest, value), blobs, Flaws(unchecked=True)


def _missing_blob(manifest: Manifest, blobs: Blobs) -> Broken:
    layer = manifest.layers[-1].digest
    left = {digest: opener for digest, opener in blobs.items() if digest != layer}
    return manifest, left, Flaws(unsent=frozenset({layer}))


def _wrong_diff_id(manifest: Manifest, blobs: Blobs) -> Broken:
    value = json.loads(manifest.content)
    stream = blobs[value["config"]["digest"]]()
    config = json.loads(stream.read())
    config.setdefault("rootfs", {})["diff_ids"] = [f"sha256:{'0' * 64}"] * len(manifest.layers)
    content = json.dumps(config).encode()
    digest = digest_of(content)
    value["config"].update(digest=digest, size=len(content))
    return _again(manifest, value), {**blobs, digest: in_memory(content)}, SOUND


def _unknown_media_type(manifest: Manifest, blobs: Blobs) -> Broken:
    value = {**json.loads(manifest.content), "mediaType": UNKNOWN_TYPE}
    sent = Manifest(
        UNKNOWN_TYPE, json.dumps(value).encode(), config=manifest.config, layers=manifest.layers
    )
    return sent, blobs, SOUND


def _malformed(manifest: Manifest, blobs: Blobs) -> Broken:
    half = manifest.content[: len(manifest.content) // 2]
    sent = Manifest(manifest.media_type, half, config=manifest.config, layers=manifest.layers)
    return sent, blobs, SOUND


def _again(manifest: Manifest, value: Mapping[str, Any]) -> Manifest:
    return Manifest.parse(json.dumps(value).encode(), manifest.media_type)


_KINDS: dict[str, Callable[[Manifest, Blobs], Broken]] = {
    "wrong-digest": _wrong_digest,
    "wrong-size": _wrong_size,
    "missing-blob": _missing_blob,
    "wrong-diff-id": _wrong_diff_id,
    "unknown-media-type": _unknown_media_type,
    "malformed-manifest": _malformed,
}
