"""What a manifest tells of itself: its digest, its children, its blobs, its size."""

from __future__ import annotations

import json
import pickle

import pytest

from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import (
    DOCKER_INDEX,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    is_manifest_type,
)
from pytest_registry.oci.names import digest_of

CHILD = Descriptor.of(b"{}", OCI_MANIFEST)
LAYER = Descriptor.of(b"a layer", OCI_LAYER_GZIP)


def an_index(*entries: Descriptor) -> Manifest:
    value = {"schemaVersion": 2, "manifests": [each.to_json() for each in entries]}
    return Manifest.parse(json.dumps(value).encode(), OCI_INDEX)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_is_known_by_the_algorithm_of_its_name(algorithm: str) -> None:
    index = an_index(CHILD)
    name = digest_of(index.content, algorithm)
    known = index.known_by(name)
    assert known.digest == known.describe().digest == name
    assert pickle.loads(pickle.dumps(known)).digest == name


def test_an_index_lists_children_and_blobs() -> None:
    index = an_index(CHILD, LAYER)
    assert (index.children, index.blobs) == ((CHILD,), (LAYER,))
    assert index.size == len(index.content) + LAYER.size


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        (OCI_MANIFEST, True),
        (OCI_INDEX, True),
        (DOCKER_MANIFEST, True),
        (DOCKER_INDEX, True),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", True),
        ("application/vnd.oci.artifact.manifest.v1+json", True),
        ("application/vnd.oci.image.index.v2+json", True),
        (OCI_CONFIG, False),
        (OCI_LAYER, False),
        (OCI_LAYER_GZIP, False),
        (DOCKER_LAYER_GZIP, False),
        ("application/vnd.oci.image.layer.v1.tar+zstd", False),
        ("application/vnd.buildkit.cacheconfig.v0", False),
        ("application/octet-stream", False),
    ],
)
def test_a_media_type_is_a_manifests_or_a_blobs(media_type: str, *, expected: bool) -> None:
    assert is_manifest_type(media_type) == expected
