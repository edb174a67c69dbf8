"""Manifests that are known by a sha512 digest: each stays known by the digest it is listed by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.clients.http_session import RegistrySession
from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import PullError, PushError
from pytest_registry.images.layout_writer import LayoutWriter
from pytest_registry.images.source import StoredImage
from pytest_registry.images.sources import archived_image
from pytest_registry.images.synthetic import SyntheticImage, synthetic_image
from pytest_registry.images.transfer import transfer
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import OCI_INDEX
from pytest_registry.oci.names import digest_of
from tests.clients.conftest import in_turn

if TYPE_CHECKING:
    from tests.clients.conftest import Reply, Script, ScriptedServer, Served

Ask = Callable[["Script"], tuple[OciClient, "ScriptedServer"]]

IMAGE = synthetic_image(1)
NAME = digest_of(IMAGE.root().content, "sha512")
INDEX_BODY = b'{"schemaVersion": 2, "manifests": []}'


@pytest.fixture
def client(served: Served, client: OciClient) -> OciClient:
    if not served.is_embedded:
        pytest.skip("distribution 2.8 does not know sha512 (specification 1.1)")
    return client


@pytest.fixture
def listing() -> StoredImage:
    """An index that lists its one image by sha512."""
    root = IMAGE.root()
    entry = root.describe()._replace(
        digest=NAME, extra={"platform": {"os": "linux", "architecture": "amd64"}}
    )
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry.to_json()]}
    index = Manifest.parse(json.dumps(value).encode(), OCI_INDEX)
    return StoredImage("listing", index, {NAME: root}, IMAGE.blobs)


def tag_by_sha512(served: Served, client: OciClient, repository: str, tag: str) -> None:
    """Push IMAGE by its sha512 digest, and have a tag lead there."""
    client.push(IMAGE, repository)
    client.delete_manifest(repository, IMAGE.digest)  # its blobs stay
    with RegistrySession(served.url, served.credentials) as session:
        answer = session.put(
            f"/v2/{repository}/manifests/{NAME}?tag={tag}",
            data=IMAGE.root().content,
            headers={"Content-Type": IMAGE.root().media_type},
        )
    assert answer.status_code == 201, answer.text


def test_a_child_is_pushed_by_the_digest_that_its_index_lists(
    client: OciClient, repository: str, listing: StoredImage
) -> None:
    client.push(listing, repository, "1")
    assert client.exists(repository, NAME)
    assert not client.exists(repository, IMAGE.digest)


def test_a_child_is_copied_by_the_digest_that_its_index_lists(
    client: OciClient, repository: str, listing: StoredImage
) -> None:
    client.push(listing, repository, "1")
    client.copy(repository, "1", client, f"{repository}/copy", "1")
    assert client.pull(f"{repository}/copy", "1") == listing.root()
    assert client.manifest(f"{repository}/copy", NAME).digest == NAME


def test_a_layout_keeps_a_child_under_the_digest_that_its_index_lists(
    client: OciClient, repository: str, listing: StoredImage, tmp_path: Path
) -> None:
    client.push(listing, repository, "1")
    client.pull(repository, "1", tmp_path)
    assert (tmp_path / "blobs" / NAME.replace(":", "/")).read_bytes() == IMAGE.root().content
    assert not (tmp_path / "blobs" / IMAGE.digest.replace(":", "/")).exists()
    client.push(archived_image(tmp_path), f"{repository}/again", "1")
    assert client.exists(f"{repository}/again", NAME)


def test_one_platform_is_known_by_the_digest_that_its_index_lists(
    client: OciClient, repository: str, listing: StoredImage, tmp_path: Path
) -> None:
    client.push(listing, repository, "1")
    one = f"{repository}/one"
    copied = client.copy(repository, "1", client, one, platform="linux/amd64")
    assert copied.digest == NAME
    assert client.exists(one, NAME)
    pulled = client.pull(repository, "1", tmp_path, platform="linux/amd64")
    assert pulled.digest == NAME == archived_image(tmp_path).root().digest


def test_an_image_is_copied_by_the_digest_that_was_asked_for(
    client: OciClient, repository: str
) -> None:
    client.push(IMAGE, repository)
    client.put_manifest(repository, NAME, IMAGE.root())
    for name in (NAME, IMAGE.digest):
        other = f"{repository}/{name[:6]}"
        assert client.copy(repository, name, client, other).digest == name
        assert client.exists(other, name)


def test_a_tagged_manifest_is_known_by_the_registrys_digest(
    served: Served, client: OciClient, repository: str
) -> None:
    tag_by_sha512(served, client, repository, "1")
    head = client.head(repository, "1")
    manifest = client.manifest(repository, "1")
    assert head == manifest.describe()
    assert manifest.digest == NAME
    assert client.exists(repository, manifest.digest)
    client.delete_manifest(repository, manifest.digest)
    assert not client.exists(repository, "1")


def test_a_layout_enters_an_image_by_the_registrys_digest(
    served: Served, client: OciClient, repository: str, tmp_path: Path
) -> None:
    tag_by_sha512(served, client, repository, "1")
    assert client.pull(repository, "1", tmp_path).digest == NAME
    assert client.push(archived_image(tmp_path), f"{repository}/again").digest == NAME
    assert client.exists(f"{repository}/again", NAME)


def test_under_a_tag_the_registry_chooses_the_algorithm(
    served: Served, client: OciClient, repository: str
) -> None:
    tag_by_sha512(served, client, repository, "1")
    copied = client.copy(repository, "1", client, f"{repository}/copy", "1")
    assert copied.digest == IMAGE.digest
    assert client.head(f"{repository}/copy", "1") == copied


def test_clearing_finds_what_a_tag_leads_to(
    served: Served, client: OciClient, repository: str
) -> None:
    tag_by_sha512(served, client, repository, "1")
    assert client.clear(repository) == []
    assert not client.exists(repository, NAME)


@pytest.mark.parametrize("image", [IMAGE, synthetic_image(1, platforms=("linux/amd64",))])
def test_an_image_that_is_made_here_is_known_by_sha256(
    image: SyntheticImage, tmp_path: Path
) -> None:
    assert transfer(image, LayoutWriter(tmp_path)).digest == digest_of(image.root().content)


def test_the_digest_that_a_registry_tells_of_a_push_is_taken(ask: Ask, reply: type[Reply]) -> None:
    told = {"Docker-Content-Digest": digest_of(INDEX_BODY, "sha512")}
    client, _ = ask(in_turn(reply(201, told)))
    stored = client.put_manifest("a", "1", Manifest.parse(INDEX_BODY, OCI_INDEX))
    assert stored.digest == told["Docker-Content-Digest"]


@pytest.mark.parametrize("told", ["", "blake3:" + "a" * 64])
def test_a_digest_that_is_not_told_or_of_an_unknown_algorithm_is_the_contents(
    ask: Ask, reply: type[Reply], told: str
) -> None:
    headers = {"Docker-Content-Digest": told} if told else {}
    answers = (reply(201, headers), reply(200, {"Content-Type": OCI_INDEX, **headers}, INDEX_BODY))
    client, _ = ask(in_turn(*answers))
    stored = client.put_manifest("a", "1", Manifest.parse(INDEX_BODY, OCI_INDEX))
    assert stored.digest == client.manifest("a", "1").digest == digest_of(INDEX_BODY)


@pytest.mark.parametrize("told", [f"sha256:{'0' * 64}", f"sha512:{'0' * 128}"])
def test_a_registry_that_tells_another_contents_digest_is_not_believed(
    ask: Ask, reply: type[Reply], told: str
) -> None:
    headers = {"Docker-Content-Digest": told, "Content-Type": OCI_INDEX}
    client, _ = ask(in_turn(reply(201, headers), reply(200, headers, INDEX_BODY)))
    with pytest.raises(PushError, match="stored other content"):
        client.put_manifest("a", "1", Manifest.parse(INDEX_BODY, OCI_INDEX))
    with pytest.raises(PullError, match="sent other content"):
        client.manifest("a", "1")


def test_a_list_that_the_client_keeps_names_a_referrer_by_its_stored_digest(
    ask: Ask, reply: type[Reply]
) -> None:
    signature = synthetic_image(2, artifact_type="a/b", subject=IMAGE).root()
    name = digest_of(signature.content, "sha512")
    client, server = ask(
        lambda seen: reply(201 if seen.method == "PUT" else 404)  # it has no referrers API
    )
    client.put_manifest("a", name, signature)
    _, kept = server.asked("PUT")
    (entry,) = json.loads(kept.body)["manifests"]
    assert entry["digest"] == name
