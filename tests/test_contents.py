"""What the handle tells of images that are named or made otherwise than most."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import Registry, synthetic_image
from pytest_registry.images.source import StoredImage, in_memory
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import OCI_INDEX, OCI_LAYER_GZIP
from pytest_registry.oci.names import digest_of

IMAGE = synthetic_image(1)
NAME = digest_of(IMAGE.root().content, "sha512")


@pytest.fixture(scope="module")
def registry(registry_factory: Callable[..., Registry]) -> Registry:
    return registry_factory(engine="embedded", storage="memory")


@pytest.fixture
def tagged(registry: Registry) -> str:
    """A repository whose tag `1` leads to a manifest that was pushed by its sha512 digest."""
    repository = f"contents/{uuid.uuid4().hex[:12]}"
    registry.client.push(IMAGE, repository, "2")
    answer = registry.http.put(
        f"/v2/{repository}/manifests/{NAME}?tag=1",
        data=IMAGE.root().content,
        headers={"Content-Type": IMAGE.root().media_type},
    )
    assert answer.status_code == 201, answer.text
    return repository


def test_an_images_digest_is_the_registrys_own(registry: Registry, tagged: str) -> None:
    image = registry.image(tagged, "1")
    assert image.digest == NAME
    assert image.pinned == f"{registry.host}/{tagged}@{NAME}"
    registry.assert_exists(tagged, image.digest)


def test_the_manifest_behind_a_tag_is_deleted_whatever_its_digest(
    registry: Registry, tagged: str
) -> None:
    registry.delete(tagged, "1")
    registry.assert_missing(tagged, NAME)
    registry.assert_tags(tagged, "2")


def test_images_are_the_same_to_the_byte_whatever_their_digests(
    registry: Registry, tagged: str
) -> None:
    registry.assert_same(f"{tagged}:1", f"{tagged}:2")


def test_a_build_cache_has_the_size_of_its_blobs(registry: Registry, tmp_path: Path) -> None:
    blobs = [
        Descriptor.of(b"a layer", OCI_LAYER_GZIP),
        Descriptor.of(b"{}", "application/vnd.buildkit.cacheconfig.v0"),
    ]
    value = {"schemaVersion": 2, "manifests": [each.to_json() for each in blobs]}
    index = Manifest.parse(json.dumps(value).encode(), OCI_INDEX)
    contents = zip((b"a layer", b"{}"), blobs, strict=True)
    stored = {blob.digest: in_memory(content) for content, blob in contents}
    pushed = registry.push(StoredImage("cache", index, {}, stored), "contents/cache", "1")
    assert pushed.size == len(index.content) + len(b"a layer{}")
    registry.client.pull("contents/cache", "1", tmp_path)
    assert registry.push(tmp_path, "contents/again", "1").size == pushed.size
    assert registry.copy(pushed, registry, "contents/copy").size == pushed.size
