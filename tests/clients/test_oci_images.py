"""Whole images to, from and between real registries: ours and Debian's docker-registry."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import (
    ImageNotFound,
    ProtocolError,
    PullError,
    PushError,
    TransferError,
)
from pytest_registry.images.broken import Kind
from pytest_registry.images.source import Readable, StoredImage, in_memory
from pytest_registry.images.sources import archived_image
from pytest_registry.images.synthetic import SyntheticImage, synthetic_image
from pytest_registry.limits.policy import Operation
from pytest_registry.oci.descriptor import Descriptor

if TYPE_CHECKING:
    from tests.clients.conftest import Served

MIB = 1 << 20
BOTH = ("linux/amd64", "linux/arm64")

MADE = {
    "one layer": lambda: synthetic_image(1),
    "no layer": lambda: synthetic_image(1, layers=0),
    "many layers": lambda: synthetic_image(1, layers=9, layer_size=70_000),
    "large layers": lambda: synthetic_image(1, layers=2, layer_size=5 * MIB + 3),
    "docker's types": lambda: synthetic_image(1, media_types="docker"),
    "an index": lambda: synthetic_image(1, platforms=BOTH),
    "docker's index": lambda: synthetic_image(1, platforms=BOTH, media_types="docker"),
    "annotations": lambda: synthetic_image(1, annotations={"org.example": "Größe"}),
    "an artifact": lambda: synthetic_image(1, artifact_type="application/vnd.example"),
    "an empty artifact": lambda: synthetic_image(1, layers=0, artifact_type="a/b"),
}


@pytest.fixture(params=MADE)
def made(request: pytest.FixtureRequest) -> SyntheticImage:
    return MADE[request.param]()


class Recorder:
    """Limits that only note what was taken, and the bytes."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.bytes = 0
        self.waited = 0.0

    def transferred(self, count: int) -> None:
        self.bytes += count

    @contextmanager
    def pull(self, repository: str = "", *, reference: str = "") -> Iterator[Operation]:  # noqa: ARG002
        self.taken.append(("pull", repository))
        yield self

    @contextmanager
    def push(self, repository: str = "", *, reference: str = "") -> Iterator[Operation]:  # noqa: ARG002
        self.taken.append(("push", repository))
        yield self


class Bar:
    """A progress display."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.moving: Counter[str] = Counter()
        self.ended: dict[str, bool] = {}

    def begin(self, blob: Descriptor) -> None:
        with self.lock:
            self.moving[blob.digest] = 0

    def moved(self, blob: Descriptor, size: int) -> None:
        with self.lock:
            self.moving[blob.digest] += size

    def end(self, blob: Descriptor, *, skipped: bool) -> None:
        with self.lock:
            self.ended[blob.digest] = skipped


def test_every_kind_of_image_comes_back_by_its_digest(
    client: OciClient, repository: str, made: SyntheticImage, tmp_path: Path
) -> None:
    assert client.push(made, repository, "1").digest == made.digest
    assert client.pull(repository, "1") == made.root()
    assert client.pull(repository, made.digest, tmp_path) == made.root()
    layout = archived_image(tmp_path)
    assert layout.root() == made.root()
    assert client.push(layout, f"{repository}/again", "2").digest == made.digest


def test_an_image_without_a_tag_is_pushed_by_its_digest(client: OciClient, repository: str) -> None:
    image = synthetic_image(1)
    client.push(image, repository)
    assert client.exists(repository, image.digest)
    assert not client.exists(repository, "latest")


def test_of_an_index_one_platform_is_pulled_where_one_is_named(
    client: OciClient, repository: str
) -> None:
    index = synthetic_image(1, platforms=BOTH)
    client.push(index, repository, "1")
    child = client.pull(repository, "1", platform="linux/arm64")
    assert child.digest == index.root().manifests[1].digest
    with pytest.raises(ImageNotFound, match="lists linux/amd64, linux/arm64"):
        client.pull(repository, "1", platform="linux/riscv64")


def test_blobs_that_are_there_are_not_sent_again(client: OciClient, repository: str) -> None:
    image = synthetic_image(1, layers=3, layer_size=1000)
    first, second = Bar(), Bar()
    client.push(image, repository, "1", progress=first)
    client.push(image, repository, "2", progress=second)
    sizes = {blob.digest: blob.size for blob in image.root().blobs}
    assert dict(first.moving) == sizes
    assert first.ended == dict.fromkeys(sizes, False)
    assert second.ended == dict.fromkeys(sizes, True)
    assert sum(second.moving.values()) == 0


def test_several_images_are_kept_in_one_layout(
    client: OciClient, repository: str, tmp_path: Path
) -> None:
    one, two, three = (synthetic_image(seed) for seed in (1, 2, 3))
    for image, tag in ((one, "a"), (two, "b"), (three, "c")):
        client.push(image, repository, tag)
        client.pull(repository, tag, tmp_path)
    client.push(three, repository, "b")
    client.pull(repository, "b", tmp_path)
    assert {tag: archived_image(tmp_path, tag).root().digest for tag in "abc"} == {
        "a": one.digest,
        "b": three.digest,
        "c": three.digest,
    }
    with pytest.raises(ImageNotFound, match="a, b, c"):
        archived_image(tmp_path).root()


def test_a_copy_within_a_registry_mounts_and_moves_nothing(
    client: OciClient, repository: str, made: SyntheticImage
) -> None:
    client.push(made, repository, "1")
    bar = Bar()
    copied = client.copy(repository, "1", client, f"{repository}/copy", "2", progress=bar)
    assert copied.digest == made.digest
    assert client.pull(f"{repository}/copy", "2") == made.root()
    assert sum(bar.moving.values()) == 0
    assert all(bar.ended.values())


def test_a_copy_within_a_repository_is_another_tag(client: OciClient, repository: str) -> None:
    image = synthetic_image(1)
    client.push(image, repository, "1")
    client.copy(repository, "1", client, repository, "2")
    assert client.tags(repository) == ["1", "2"]


def test_a_copy_of_one_platform_leaves_the_index_and_the_others_behind(
    client: OciClient, repository: str
) -> None:
    index = synthetic_image(1, platforms=BOTH)
    client.push(index, repository, "1")
    one = client.copy(repository, "1", client, f"{repository}/arm", "2", platform="linux/arm64")
    _, arm = index.root().manifests
    assert one.digest == arm.digest
    assert client.pull(f"{repository}/arm", "2").digest == arm.digest
    assert not client.exists(f"{repository}/arm", index.digest)


def test_a_copy_goes_from_one_registry_to_another(
    served: Served, client: OciClient, repository: str, made: SyntheticImage
) -> None:
    client.push(made, repository, "1")
    from pytest_registry.server import RegistryServer, ServerSettings

    with RegistryServer(ServerSettings()) as other, OciClient(other.url) as destination:
        client.copy(repository, "1", destination, "copied", "2")
        assert destination.pull("copied", "2") == made.root()
        destination.copy("copied", "2", client, f"{repository}/back")
    assert client.exists(f"{repository}/back", made.digest)


def test_each_operation_takes_one_slot_and_tells_its_bytes(served: Served, repository: str) -> None:
    image = synthetic_image(1, layers=6, layer_size=MIB)
    size = sum(blob.size for blob in image.root().blobs)
    limits, others = Recorder(), Recorder()
    with (
        OciClient(served.url, served.credentials, limits=limits) as client,
        OciClient(served.url, served.credentials, limits=others) as other,
    ):
        client.push(image, repository, "1")
        assert (limits.taken, limits.bytes) == ([("push", repository)], size)
        client.pull(repository, "1")
        assert (limits.taken[1:], limits.bytes) == ([("pull", repository)], 2 * size)
        client.copy(repository, "1", client, f"{repository}/a")
        assert limits.taken[2:] == [("push", f"{repository}/a")]
        client.copy(repository, "1", other, f"{repository}/b")
        assert limits.taken[3:] == [("pull", repository)]
        assert others.taken == [("push", f"{repository}/b")]
        client.manifest(repository, "1")
        client.tags(repository)
        assert len(limits.taken) == 4


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("wrong-digest", {"DIGEST_INVALID"}),
        ("missing-blob", {"MANIFEST_BLOB_UNKNOWN"}),
        ("malformed-manifest", {"MANIFEST_INVALID"}),
    ],
)
def test_a_broken_image_gets_the_registrys_own_error(
    client: OciClient, repository: str, kind: Kind, codes: set[str]
) -> None:
    with pytest.raises(ProtocolError) as caught:
        client.push(synthetic_image(1, layers=2).broken(kind), repository, "1")
    assert set(caught.value.codes) == codes
    assert caught.value.status is not None
    assert 400 <= caught.value.status < 500
    assert not client.exists(repository, "1")


def test_a_wrong_size_is_found_by_who_pulls(client: OciClient, repository: str) -> None:
    # No registry that we know compares sizes when it takes a manifest.
    client.push(synthetic_image(1).broken("wrong-size"), repository, "1")
    with pytest.raises(PullError, match="its descriptor says"):
        client.pull(repository, "1")


def test_an_unknown_media_type_is_kept_or_refused(
    client: OciClient, served: Served, repository: str
) -> None:
    image = synthetic_image(1).broken("unknown-media-type")
    if served.is_embedded:
        client.push(image, repository, "1")
        assert client.manifest(repository, "1").content == image.root().content
    else:
        with pytest.raises(ProtocolError) as caught:
            client.push(image, repository, "1")
        assert caught.value.codes == ("MANIFEST_INVALID",)


def test_a_source_that_is_shorter_than_it_says_stores_nothing(
    client: OciClient, repository: str
) -> None:
    image = synthetic_image(1)
    layer = image.root().layers[0]
    for other in (b"", b"x" * (layer.size - 1), b"x" * (layer.size + 1)):
        blobs = {**image.blobs, layer.digest: in_memory(other)}
        with pytest.raises(PushError, match=r"its source holds .* bytes"):
            client.push(StoredImage("short", image.manifest, {}, blobs), repository, "1")
    assert not client.has_blob(repository, layer.digest)
    client.ping()


def test_the_first_error_ends_the_whole_transfer(client: OciClient, repository: str) -> None:
    image = synthetic_image(1, layers=12)

    def fail() -> Readable:
        raise TransferError("read a layer", "the disk is gone")

    blobs = dict(image.blobs)
    blobs[image.root().layers[5].digest] = fail
    with pytest.raises(TransferError, match="the disk is gone"):
        client.push(StoredImage("bad", image.manifest, {}, blobs), repository, "1")
    assert not client.exists(repository, "1")


def test_many_threads_share_one_client(client: OciClient, repository: str) -> None:
    image = synthetic_image(1, layers=4, layer_size=20_000)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            client.push(image, f"{repository}/{number}", "1")
            client.pull(f"{repository}/{number}", "1")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_layouts_files_are_what_the_specification_says(
    client: OciClient, repository: str, tmp_path: Path
) -> None:
    image = synthetic_image(1)
    client.push(image, repository, "1")
    client.pull(repository, "1", tmp_path)
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "1"}
    names = {path.name for path in (tmp_path / "blobs" / "sha256").iterdir()}
    digests = [image.digest, *(blob.digest for blob in image.root().blobs)]
    assert names == {digest.partition(":")[2] for digest in digests}
    assert cast("dict[str, str]", entry)["digest"] == image.digest
