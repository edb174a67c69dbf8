"""The kinds of data that the official conformance suite pushes, pulls and deletes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.oci.media_types import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from pytest_registry.oci.names import digest_of

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit

CONFIG, LAYER = b'{"architecture":"amd64","os":"linux"}', b"a layer"
Pushed = tuple[bytes, str]
Make = Callable[["Asked", "Kit"], Pushed]


def plain(registry: Asked, kit: Kit, **members: Any) -> Pushed:
    config, layer = kit.descriptor(CONFIG, OCI_CONFIG), kit.descriptor(LAYER, OCI_LAYER_GZIP)
    return kit.image(**{"config": config, "layers": [layer], **members}), OCI_MANIFEST


def with_data(registry: Asked, kit: Kit) -> Pushed:
    data = base64.b64encode(LAYER).decode()
    return plain(registry, kit, layers=[kit.descriptor(LAYER, OCI_LAYER_GZIP, data=data)])


def without_layers(registry: Asked, kit: Kit) -> Pushed:
    return plain(registry, kit, layers=[])


def with_equal_layers(registry: Asked, kit: Kit) -> Pushed:
    return plain(registry, kit, layers=[kit.descriptor(LAYER, OCI_LAYER_GZIP)] * 3)


def artifact(registry: Asked, kit: Kit) -> Pushed:
    empty = kit.descriptor(kit.empty, OCI_EMPTY, data="e30=")
    return kit.image(artifactType="application/x.y", config=empty, layers=[empty]), OCI_MANIFEST


def with_layers_that_are_elsewhere(registry: Asked, kit: Kit) -> Pushed:
    """Never pushed, by the specification of non-distributable layers and of Docker's foreign."""
    kinds = (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    )
    urls = ["https://store.example/there"]
    absent = [kit.descriptor(b"elsewhere", kind, urls=urls) for kind in kinds]
    return plain(registry, kit, layers=[*absent, kit.descriptor(LAYER, OCI_LAYER_GZIP)])


def with_unknown_members(registry: Asked, kit: Kit) -> Pushed:
    layer = kit.descriptor(LAYER, OCI_LAYER_GZIP, **{"org.example": {"deep": [1, None]}})
    return plain(registry, kit, layers=[layer], **{"org.example.x": 1})


def of_unknown_media_types(registry: Asked, kit: Kit) -> Pushed:
    config = kit.descriptor(CONFIG, "application/vnd.example.config")
    return plain(registry, kit, config=config, layers=[kit.descriptor(LAYER, "text/x-example")])


def of_docker(registry: Asked, kit: Kit) -> Pushed:
    config, layer = kit.descriptor(CONFIG, DOCKER_CONFIG), kit.descriptor(LAYER, DOCKER_LAYER_GZIP)
    content = kit.image(mediaType=DOCKER_MANIFEST, config=config, layers=[layer])
    return content, DOCKER_MANIFEST


def without_a_media_type_of_its_own(registry: Asked, kit: Kit) -> Pushed:
    value = json.loads(plain(registry, kit)[0])
    del value["mediaType"]
    return json.dumps(value).encode(), OCI_MANIFEST


def image_index(registry: Asked, kit: Kit, media_type: str = OCI_INDEX) -> Pushed:
    content, kind = of_docker(registry, kit) if media_type == DOCKER_INDEX else plain(registry, kit)
    assert registry.push_manifest("a", digest_of(content), content, kind).status == 201
    platform = {"os": "linux", "architecture": "amd64"}
    listed = kit.descriptor(content, kind, platform=platform)
    return kit.index(listed, mediaType=media_type), media_type


def docker_index(registry: Asked, kit: Kit) -> Pushed:
    return image_index(registry, kit, DOCKER_INDEX)


def nested_index(registry: Asked, kit: Kit) -> Pushed:
    inner, kind = image_index(registry, kit)
    assert registry.push_manifest("a", digest_of(inner), inner, kind).status == 201
    return kit.index(kit.descriptor(inner, OCI_INDEX)), OCI_INDEX


def empty_index(registry: Asked, kit: Kit) -> Pushed:
    return kit.index(), OCI_INDEX


def index_of_blobs(registry: Asked, kit: Kit) -> Pushed:
    """What BuildKit writes as a cache."""
    return kit.index(kit.descriptor(LAYER, OCI_LAYER_GZIP)), OCI_INDEX


def image_as_go_writes_it(registry: Asked, kit: Kit) -> Pushed:
    """With what nobody set: nil lists and maps are null, texts are empty."""
    nothing = {"layers": None, "annotations": None, "subject": None, "artifactType": ""}
    return plain(registry, kit, mediaType="", **nothing)


def index_as_go_writes_it(registry: Asked, kit: Kit) -> Pushed:
    return kit.index(manifests=None, mediaType=None, artifactType=None), OCI_INDEX


KINDS: list[Make] = [
    plain, with_data, without_layers, with_equal_layers, artifact, with_layers_that_are_elsewhere,
    with_unknown_members, of_unknown_media_types, of_docker, without_a_media_type_of_its_own,
    image_index, docker_index, nested_index, empty_index, index_of_blobs,
    image_as_go_writes_it, index_as_go_writes_it,
]  # fmt: skip


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_it_is_pushed_pulled_listed_and_deleted(
    make: Make, algorithm: str, anywhere: Asked, kit: Kit
) -> None:
    for blob in (CONFIG, LAYER, kit.empty):
        anywhere.push_blob("a", blob)
    content, media_type = make(anywhere, kit)
    digest = digest_of(content, algorithm)
    assert anywhere.push_manifest("a", f"{digest}?tag=t", content, media_type).status == 201
    for reference in ("t", digest):
        answer = anywhere.ask("GET", f"/v2/a/manifests/{reference}")
        assert (answer.status, answer.body, answer["Content-Type"]) == (200, content, media_type)
        assert answer["Docker-Content-Digest"] == digest
    assert anywhere.ask("GET", "/v2/a/tags/list").json["tags"] == ["t"]
    assert anywhere.ask("DELETE", "/v2/a/manifests/t").status == 202
    assert anywhere.ask("DELETE", f"/v2/a/manifests/{digest}").status == 202
    assert anywhere.ask("HEAD", f"/v2/a/manifests/{digest}").status == 404


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_its_type_is_found_out_where_the_client_does_not_tell(
    make: Make, registry: Asked, kit: Kit
) -> None:
    for blob in (CONFIG, LAYER, kit.empty):
        registry.push_blob("a", blob)
    content, media_type = make(registry, kit)
    assert registry.ask("PUT", "/v2/a/manifests/t", content).status == 201
    assert registry.ask("HEAD", "/v2/a/manifests/t")["Content-Type"] == media_type
