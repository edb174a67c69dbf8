"""Indexes that list blobs beside manifests or instead of them, as BuildKit's caches do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import ImageNotFound
from pytest_registry.images.source import StoredImage, in_memory
from pytest_registry.images.sources import archived_image
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import DOCKER_LAYER_GZIP, OCI_INDEX, OCI_LAYER_GZIP

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
CONTENTS = {
    OCI_LAYER_GZIP: b"a layer",
    DOCKER_LAYER_GZIP: b"a layer of docker's",
    CACHE_CONFIG: b'{"layers": [], "records": []}',
}
BLOBS = tuple(Descriptor.of(content, kind) for kind, content in CONTENTS.items())
ONE = synthetic_image(1)


def listing(*entries: Descriptor) -> StoredImage:
    """An index of these entries, with all that it may list."""
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [each.to_json() for each in entries],
    }
    index = Manifest.parse(json.dumps(value).encode(), OCI_INDEX)
    blobs = {**ONE.blobs, **{blob.digest: in_memory(CONTENTS[blob.media_type]) for blob in BLOBS}}
    return StoredImage("cache", index, {ONE.digest: ONE.root()}, blobs)


CACHES = {"blobs alone": listing(*BLOBS), "a manifest too": listing(ONE.descriptor, *BLOBS)}


@pytest.fixture(params=CACHES)
def cache(request: pytest.FixtureRequest) -> StoredImage:
    return CACHES[request.param]


def holds_all(client: OciClient, repository: str, cache: StoredImage) -> bool:
    held = [client.has_blob(repository, blob.digest) for blob in BLOBS]
    children = [client.exists(repository, each.digest) for each in cache.root().children]
    return all(held) and all(children)


def test_a_cache_is_pushed_and_pulled_whole(
    client: OciClient, repository: str, cache: StoredImage
) -> None:
    client.push(cache, repository, "cache")
    assert holds_all(client, repository, cache)
    assert client.pull(repository, "cache") == cache.root()


def test_a_cache_is_copied_whole(client: OciClient, repository: str, cache: StoredImage) -> None:
    client.push(cache, repository, "cache")
    client.copy(repository, "cache", client, f"{repository}/copy", "cache")
    assert holds_all(client, f"{repository}/copy", cache)


def test_a_cache_goes_through_a_layout(
    client: OciClient, repository: str, cache: StoredImage, tmp_path: Path
) -> None:
    client.push(cache, repository, "cache")
    client.pull(repository, "cache", tmp_path)
    layout = archived_image(tmp_path)
    assert layout.root() == cache.root()
    client.push(layout, f"{repository}/again", "cache")
    assert holds_all(client, f"{repository}/again", cache)


def test_a_layout_that_lacks_a_caches_blob_is_not_pushed(
    client: OciClient, repository: str, tmp_path: Path
) -> None:
    client.push(CACHES["blobs alone"], repository, "cache")
    client.pull(repository, "cache", tmp_path)
    (tmp_path / "blobs" / BLOBS[0].digest.replace(":", "/")).unlink()
    with pytest.raises(ImageNotFound, match="does not hold it"):
        client.push(archived_image(tmp_path), f"{repository}/again", "cache")


def test_a_cache_of_blobs_alone_has_no_platforms_to_choose_from(
    client: OciClient, repository: str
) -> None:
    cache = CACHES["blobs alone"]
    client.push(cache, repository, "cache")
    assert client.image(repository, "cache").root() == cache.root()


def test_a_blob_is_never_chosen_as_an_image(client: OciClient, repository: str) -> None:
    client.push(CACHES["a manifest too"], repository, "cache")
    assert client.image(repository, "cache").root() == ONE.root()


def test_a_cache_is_cleared(client: OciClient, repository: str, cache: StoredImage) -> None:
    client.push(cache, repository, "cache")
    assert client.clear(repository) == []
    assert not client.exists(repository, cache.root().digest)
