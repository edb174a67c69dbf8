"""Single requests to real registries: ours and Debian's docker-registry."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pytest_registry.clients.blobs import open_blob
from pytest_registry.clients.oci import OciClient
from pytest_registry.clients.referrers import referrers_tag
from pytest_registry.errors import (
    AuthenticationFailed,
    ImageNotFound,
    InvalidReference,
    OptionError,
    ProtocolError,
    PullError,
    Unsupported,
)
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import OCI_INDEX, OCI_LAYER_GZIP
from pytest_registry.oci.names import digest_of
from pytest_registry.security.credentials import Credentials

if TYPE_CHECKING:
    from tests.clients.conftest import Served

ABSENT = f"sha256:{'0' * 64}"
BLOCK = 1 << 20


def read(client: OciClient, repository: str, digest: str) -> bytes:
    with closing(client.blob(repository, digest)) as stream:
        return stream.read()


def an_index(*manifests: Descriptor) -> Manifest:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [m.to_json() for m in manifests],
    }
    return Manifest.parse(json.dumps(value).encode(), OCI_INDEX)


def test_a_registry_that_takes_the_credentials_answers_a_ping(client: OciClient) -> None:
    client.ping()


@pytest.mark.parametrize("credentials", [None, Credentials("someone", "guessed-wrongly")])
def test_a_login_that_is_refused_is_told_without_the_password(
    served: Served, credentials: Credentials | None
) -> None:
    with (
        OciClient(served.url, credentials) as client,
        pytest.raises(AuthenticationFailed) as caught,
    ):
        client.ping()
    assert "check the user name and password" in str(caught.value)
    assert "guessed-wrongly" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 17])
def test_a_blob_comes_back_as_it_was_pushed(client: OciClient, repository: str, size: int) -> None:
    content = hashlib.shake_128(str(size).encode()).digest(size)
    blob = client.put_blob(repository, content)
    assert blob == Descriptor.of(content, "application/octet-stream")
    assert client.has_blob(repository, blob.digest)
    assert read(client, repository, blob.digest) == content


def test_a_blob_is_described_by_the_media_type_that_it_was_pushed_with(
    client: OciClient, repository: str
) -> None:
    layer = client.put_blob(repository, b"content", media_type=OCI_LAYER_GZIP)
    assert layer == Descriptor.of(b"content", OCI_LAYER_GZIP)
    assert client.has_blob(repository, layer.digest)


def test_a_file_is_pushed_from_where_it_stands_and_stays_open(
    client: OciClient, repository: str
) -> None:
    file = io.BytesIO(b"not this part" + b"x" * (2 * BLOCK))
    file.seek(13)
    blob = client.put_blob(repository, file)
    assert (blob.size, file.closed) == (2 * BLOCK, False)
    assert read(client, repository, blob.digest) == b"x" * (2 * BLOCK)


def test_a_blob_is_read_in_pieces(client: OciClient, repository: str) -> None:
    content = hashlib.shake_128(b"pieces").digest(BLOCK + 5)
    blob = client.put_blob(repository, content)
    with client.blob(repository, blob.digest, size=blob.size) as stream:
        assert stream.size == len(content)
        pieces = iter(lambda: stream.read(100_000), b"")
        assert b"".join(pieces) == content


def test_a_blob_that_is_given_up_does_not_spoil_the_client(
    client: OciClient, repository: str
) -> None:
    blob = client.put_blob(repository, b"x" * (8 * BLOCK))
    with client.blob(repository, blob.digest) as stream:
        assert stream.read(10) == b"x" * 10
    client.ping()


def test_a_wrong_digest_is_refused_by_the_registry(client: OciClient, repository: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        client.put_blob(repository, b"content", digest=ABSENT)
    assert caught.value.codes == ("DIGEST_INVALID",)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, name: client.blob(name, ABSENT),
        lambda client, name: client.manifest(name, "absent"),
        lambda client, name: client.manifest(name, ABSENT),
        lambda client, name: client.delete_blob(name, ABSENT),
        lambda client, name: client.delete_manifest(name, ABSENT),
        lambda client, name: client.tags(f"{name}/never/pushed"),
    ],
    ids=["blob", "tag", "digest", "delete blob", "delete manifest", "tags"],
)
def test_what_is_not_there_is_told_so(client: OciClient, repository: str, ask: object) -> None:
    client.put_blob(repository, b"so that there is a repository")
    assert callable(ask)
    with pytest.raises(ImageNotFound, match="404"):
        ask(client, repository)


def test_what_is_not_there_does_not_exist(client: OciClient, repository: str) -> None:
    assert not client.exists(repository, "absent")
    assert client.head(repository, ABSENT) is None
    assert not client.has_blob(repository, ABSENT)


def test_a_manifest_comes_back_to_the_byte(client: OciClient, repository: str) -> None:
    image = synthetic_image(1)
    client.push(image, repository, "1")
    for target in ("1", image.digest):
        assert client.manifest(repository, target) == image.root()
        assert client.head(repository, target) == image.descriptor
        assert client.exists(repository, target)


def test_a_sha512_digest_is_taken(client: OciClient, served: Served, repository: str) -> None:
    if not served.is_embedded:
        pytest.skip("distribution 2.8 does not know sha512 (specification 1.1)")
    content = b"under another algorithm"
    digest = digest_of(content, "sha512")
    client.put_blob(repository, content, digest=digest)
    assert read(client, repository, digest) == content
    index = an_index()
    name = digest_of(index.content, "sha512")
    assert client.put_manifest(repository, name, index).digest == name
    assert client.manifest(repository, name) == index.known_by(name)


def test_tags_are_listed_over_all_pages(client: OciClient, repository: str) -> None:
    index = an_index()
    names = sorted(f"tag-{number}" for number in range(7))
    for name in names:
        client.put_manifest(repository, name, index)
    assert client.tags(repository) == names
    # distribution 2.8 ignores `n` for tags and lists all; ours parts them.
    assert client.tags(repository, page=3) == names


def test_repositories_are_listed_over_all_pages(client: OciClient, repository: str) -> None:
    names = [f"{repository}/{letter}" for letter in "abcde"]
    for name in names:
        client.push(synthetic_image(0), name, "1")
    for found in (client.repositories(), client.repositories(page=2)):
        assert [name for name in found if name in names] == names


def test_a_layer_that_nobody_here_can_verify_is_not_asked_for(
    client: OciClient, repository: str
) -> None:
    digest = f"blake3:{'0' * 64}"
    with pytest.raises(PullError, match=f"its digest {digest} cannot be verified here"):
        open_blob(client._session, repository, digest, None)


def test_a_blob_is_mounted_from_another_repository(client: OciClient, repository: str) -> None:
    blob = client.put_blob(f"{repository}/from", b"content")
    assert client.mount_blob(f"{repository}/to", blob.digest, f"{repository}/from")
    assert client.has_blob(f"{repository}/to", blob.digest)


def test_a_blob_that_cannot_be_mounted_is_uploaded(client: OciClient, repository: str) -> None:
    content = repository.encode()  # nobody else has it: a registry may find it anywhere
    digest = digest_of(content)
    other = f"{repository}/other"
    assert not client.mount_blob(repository, digest, other)
    assert not client.has_blob(repository, digest)
    opened = lambda: io.BytesIO(content)  # noqa: E731
    assert not client.mount_blob(repository, digest, other, opened, size=len(content))
    assert read(client, repository, digest) == content


def test_referrers_are_listed_whether_or_not_the_registry_does_it(
    client: OciClient, repository: str
) -> None:
    image = synthetic_image(1)
    signature = synthetic_image(
        2, artifact_type="application/vnd.example.signature", subject=image, annotations={"a": "b"}
    )
    sbom = synthetic_image(3, artifact_type="application/vnd.example.sbom", subject=image)
    client.push(image, repository, "1")
    assert client.referrers(repository, image.digest) == ()
    for artifact in (signature, sbom, signature):
        client.push(artifact, repository)
    found = {each.digest: each for each in client.referrers(repository, image.digest)}
    assert set(found) == {signature.digest, sbom.digest}
    assert found[signature.digest].extra == {
        "artifactType": "application/vnd.example.signature",
        "annotations": {"a": "b"},
    }
    chosen = client.referrers(repository, image.digest, "application/vnd.example.sbom")
    assert [each.digest for each in chosen] == [sbom.digest]
    client.delete_manifest(repository, sbom.digest)
    left = client.referrers(repository, image.digest)
    assert [each.digest for each in left] == [signature.digest]


def test_only_a_registry_without_the_api_gets_a_referrers_tag(
    client: OciClient, served: Served, repository: str
) -> None:
    image = synthetic_image(1)
    client.push(synthetic_image(2, artifact_type="a/b", subject=image), repository)
    assert client.exists(repository, referrers_tag(image.digest)) != served.is_embedded


def test_a_referrers_tag_that_holds_something_else_is_not_overwritten(
    client: OciClient, served: Served, repository: str
) -> None:
    if served.is_embedded:
        pytest.skip("the registry keeps referrers itself")
    image, other = synthetic_image(1), synthetic_image(5)
    client.push(other, repository, referrers_tag(image.digest))
    with pytest.raises(ProtocolError, match="no image index"):
        client.push(synthetic_image(2, artifact_type="a/b", subject=image), repository)
    assert client.manifest(repository, referrers_tag(image.digest)).digest == other.digest
    assert client.referrers(repository, image.digest) == ()


def test_a_deleted_manifest_and_blob_are_gone(client: OciClient, repository: str) -> None:
    image = synthetic_image(1)
    client.push(image, repository, "1")
    client.delete_manifest(repository, image.digest)
    assert not client.exists(repository, "1")
    layer = image.root().layers[0].digest
    client.delete_blob(repository, layer)
    assert not client.has_blob(repository, layer)


def test_a_deleted_tag_leaves_its_manifest_or_is_refused_clearly(
    client: OciClient, served: Served, repository: str
) -> None:
    image = synthetic_image(1)
    client.push(image, repository, "1")
    if served.is_embedded:
        client.delete_tag(repository, "1")
        assert not client.exists(repository, "1")
    else:
        with pytest.raises(Unsupported, match="delete the manifest by digest"):
            client.delete_tag(repository, "1")
    assert client.exists(repository, image.digest)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.manifest("UPPER", "1"),
        lambda client: client.manifest("a/../b", "1"),
        lambda client: client.manifest("a", "1/../../x"),
        lambda client: client.blob("a", "sha256:short"),
        lambda client: client.tags("a?n=1"),
        lambda client: client.put_blob("a b", b""),
        lambda client: client.push(synthetic_image(), "a", "no tag"),
    ],
)
def test_names_against_the_grammar_never_reach_the_registry(ask: object) -> None:
    assert callable(ask)
    with OciClient("http://127.0.0.1:1") as client, pytest.raises(InvalidReference):
        ask(client)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:5000", "ftp://h", "http://", "http://user:secret-word@h:5000", ""]
)
def test_an_address_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        OciClient(url)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "base_url", "host"),
    [
        ("https://docker.io", "https://registry-1.docker.io/", "docker.io"),
        ("https://index.docker.io/v1/", "https://registry-1.docker.io/", "docker.io"),
        ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/", "127.0.0.1:5000"),
        ("https://h.example", "https://h.example/", "h.example"),
    ],
)
def test_a_registrys_address_is_brought_into_form(url: str, base_url: str, host: str) -> None:
    client = OciClient(url)
    assert (client.base_url, client.host) == (base_url, host)


@pytest.mark.parametrize(
    ("registry", "base_url"),
    [
        ("docker.io", "https://registry-1.docker.io/"),
        ("h.example:5000", "https://h.example:5000/"),
        ("localhost:5000", "http://localhost:5000/"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/"),
        ("[::1]:5000", "http://[::1]:5000/"),
    ],
)
def test_only_this_machine_is_reached_without_tls(registry: str, base_url: str) -> None:
    assert OciClient.for_registry(registry).base_url == base_url


def test_a_client_never_shows_its_password() -> None:
    client = OciClient("http://127.0.0.1:1", Credentials("u", "secret-word"))
    assert "secret-word" not in repr(client)
