"""Media types (OCI image-spec, media-types.md; Docker's image manifest version 2, schema 2)."""

from __future__ import annotations

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

OCTET_STREAM = "application/octet-stream"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)
EVERY_MANIFEST = MANIFESTS + INDEXES
"""What a client that takes any manifest sends as `Accept`."""


def is_manifest_type(media_type: str) -> bool:
    """Whether content of this type is pushed and pulled as a manifest: what is not, is a blob.

    An index may list blobs too, as BuildKit's caches do. Manifests of other versions are told by
    their names: the specification lets an index list types that nobody knows yet (image-index.md).
    """
    return media_type in EVERY_MANIFEST or ".manifest." in media_type or ".index." in media_type
