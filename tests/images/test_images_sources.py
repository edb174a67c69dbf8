"""Where images come from: registries, layouts, archives, and what users write for them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import (
    ImageNotFound,
    InvalidReference,
    OptionError,
    PullError,
    TransferError,
)
from pytest_registry.images import transfer as transfers
from pytest_registry.images.layout_writer import REF_NAME, LayoutWriter
from pytest_registry.images.platform import OnePlatform, Platform
from pytest_registry.images.source import BlockReader, StoredImage
from pytest_registry.images.sources import archived_image, resolve
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.images.transfer import transfer
from pytest_registry.images.upstream import RegistryImage
from pytest_registry.oci.descriptor import Descriptor
from tests.images.conftest import layout_of, tar_of

BOTH = ("linux/amd64", "linux/arm64")


# Layouts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["directory", "w", "w:gz", "w:bz2", "w:xz"])
def test_a_layout_is_pushed_as_it_is(client: OciClient, tmp_path: Path, mode: str) -> None:
    image = synthetic_image(1, layers=3, layer_size=50_000, platforms=BOTH)
    path = layout_of(image, tmp_path / "layout")
    if mode != "directory":
        path = tar_of(path, tmp_path / "layout.tar", mode)
    client.push(archived_image(path), "pushed", "1")
    assert client.pull("pushed", "1") == image.root()


def test_an_image_of_a_layout_is_found_by_its_tag(tmp_path: Path) -> None:
    one, two = synthetic_image(1), synthetic_image(2)
    path = layout_of(two, layout_of(one, tmp_path, "one"), "two")
    assert archived_image(path, "one").root() == one.root()
    assert archived_image(path, "two").root() == two.root()
    with pytest.raises(ImageNotFound, match="holds 2 images; its index lists one, two"):
        archived_image(path)
    with pytest.raises(ImageNotFound, match="there is none"):
        archived_image(path, "three")


def test_an_image_without_a_tag_is_the_layouts_only_one(tmp_path: Path) -> None:
    image = synthetic_image(1)
    path = layout_of(image, layout_of(image, tmp_path, None), None)
    assert len(json.loads((path / "index.json").read_text())["manifests"]) == 1
    assert archived_image(path).root() == image.root()


def test_a_part_of_an_index_is_taken_where_the_rest_was_never_stored(tmp_path: Path) -> None:
    here = Platform.of_machine()
    index = synthetic_image(1, platforms=("linux/s390x", str(here)))
    path = layout_of(index, tmp_path)
    other, mine = index.root().manifests
    (path / "blobs" / other.digest.replace(":", "/")).unlink()
    assert archived_image(path).root().digest == mine.digest


def test_a_layout_that_lacks_a_blob_is_told(client: OciClient, tmp_path: Path) -> None:
    image = synthetic_image(1)
    path = layout_of(image, tmp_path)
    layer = image.root().layers[0]
    (path / "blobs" / layer.digest.replace(":", "/")).unlink()
    with pytest.raises(ImageNotFound, match="does not hold it"):
        client.push(archived_image(path), "pushed")


def test_a_layout_whose_manifest_was_changed_is_told(tmp_path: Path) -> None:
    image = synthetic_image(1)
    path = layout_of(image, tmp_path)
    (path / "blobs" / image.digest.replace(":", "/")).write_text("{}")
    with pytest.raises(PullError, match="other content"):
        archived_image(path)


def test_a_layout_whose_layer_was_changed_is_refused_by_the_registry(
    client: OciClient, tmp_path: Path
) -> None:
    image = synthetic_image(1)
    path = layout_of(image, tmp_path)
    layer = image.root().layers[0]
    blob = path / "blobs" / layer.digest.replace(":", "/")
    blob.write_bytes(b"?" * layer.size)
    with pytest.raises(TransferError, match="DIGEST_INVALID"):
        client.push(archived_image(path), "pushed")
    blob.write_bytes(b"?")
    with pytest.raises(TransferError, match="its source holds 1 bytes"):
        client.push(archived_image(path), "pushed")


def test_a_pull_that_fails_leaves_no_half_files(tmp_path: Path) -> None:
    image = synthetic_image(1)
    blobs = {**image.blobs, image.root().layers[0].digest: lambda: BlockReader([b"short"])}
    with pytest.raises(PullError, match="holds 5 bytes"):
        layout_of(replace(image, blobs=blobs), tmp_path)
    assert not (tmp_path / "index.json").exists()
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert image.root().layers[0].digest.partition(":")[2] not in left
    assert not any(name.startswith(".new-") for name in left)


# What users write -------------------------------------------------------------------------------


def test_pulls_into_one_layout_at_the_same_time_are_all_listed(tmp_path: Path) -> None:
    tags = [f"tag-{number}" for number in range(16)]
    together = threading.Barrier(len(tags))

    def enter(tag: str) -> None:
        together.wait()
        for _ in range(5):
            LayoutWriter(tmp_path, tag).finish(synthetic_image().root())

    with ThreadPoolExecutor(len(tags)) as threads:
        list(threads.map(enter, tags))
    listed = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert sorted(each["annotations"][REF_NAME] for each in listed) == sorted(tags)


@pytest.fixture
def connect(client: OciClient) -> Callable[[str], OciClient]:
    """Every registry is ours."""
    return lambda _: client


def test_a_reference_is_this_machines_platform_of_the_upstream_image(
    client: OciClient, connect: Callable[[str], OciClient]
) -> None:
    here = str(Platform.of_machine())
    index = synthetic_image(1, platforms=("linux/s390x", here))
    client.push(index, "library/made", "1")
    other, mine = index.root().manifests
    assert resolve("made:1", connect=connect).root().digest == mine.digest
    named = resolve("made:1", connect=connect, platform="linux/s390x")
    assert named.root().digest == other.digest
    assert resolve("made:1", connect=connect, all_platforms=True).root() == index.root()
    client.push(resolve("made:1", connect=connect), "one", "1")
    assert client.manifest("one", "1").digest == mine.digest


def test_a_reference_without_a_registry_is_the_upstreams(client: OciClient) -> None:
    asked: list[str] = []

    def connect(registry: str) -> OciClient:
        asked.append(registry)
        return client

    for text in ("nginx", "h.example:5000/a/b@sha256:" + "0" * 64, "docker.io/a/b"):
        image = resolve(text, connect=connect, upstream="mirror.example")
        assert isinstance(image, OnePlatform)
        assert isinstance(image.source, RegistryImage)
    assert asked == ["mirror.example", "h.example:5000", "docker.io"]


def test_a_path_is_an_archive_and_a_string_never_is(
    tmp_path: Path, connect: Callable[[str], OciClient]
) -> None:
    image = synthetic_image(1, platforms=BOTH)
    path = layout_of(image, tmp_path / "Layout")
    assert resolve(path, connect=connect).root() == image.root()
    arm = resolve(path, connect=connect, platform="linux/arm64")
    assert arm.root().digest == image.root().manifests[1].digest
    with pytest.raises(InvalidReference, match=r"pathlib\.Path"):
        resolve(str(path), connect=connect)
    with pytest.raises(InvalidReference, match="write "):
        resolve("No Reference", connect=connect)


def test_an_image_is_what_it_is(connect: Callable[[str], OciClient]) -> None:
    image = synthetic_image(1, platforms=BOTH)
    assert resolve(image, connect=connect) is image
    one = resolve(image, connect=connect, platform="linux/arm64")
    assert one.root().digest == image.root().manifests[1].digest


def test_a_platform_that_is_none_is_refused(connect: Callable[[str], OciClient]) -> None:
    with pytest.raises(OptionError, match="linux/amd64"):
        resolve("nginx", connect=connect, platform="amd64")


@pytest.mark.parametrize(
    ("wanted", "offered", "matches"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "unknown/unknown", False),
    ],
)
def test_platforms_match(wanted: str, offered: str, matches: bool) -> None:
    assert Platform.parse(wanted).matches(Platform.parse(offered)) == matches


@pytest.mark.parametrize(
    ("machine", "platform"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("s390x", "linux/s390x"),
    ],
)
def test_this_machines_platform_has_gos_name(
    monkeypatch: pytest.MonkeyPatch, machine: str, platform: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert str(Platform.of_machine()) == platform


def test_indexes_within_indexes_come_to_an_end(tmp_path: Path) -> None:
    image = synthetic_image(1, platforms=BOTH)
    root = image.root()
    children = {each.digest: root for each in root.manifests}  # each child is the index again
    endless = StoredImage("endless", root, children, {})
    with pytest.raises(TransferError, match="deep"):
        transfer(endless, LayoutWriter(tmp_path))
    assert not list(tmp_path.iterdir())


# Moving -----------------------------------------------------------------------------------------


def test_ctrl_c_waits_for_no_blob_that_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = list(synthetic_image(layers=40).root().layers)
    begun: list[Descriptor] = []
    interrupted = threading.Event()

    def wait(*_: object, **__: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    def move(layer: Descriptor) -> None:
        begun.append(layer)
        interrupted.wait(30)
        time.sleep(0.05)

    monkeypatch.setattr(transfers, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        transfers._in_parallel(move, layers)
    assert len(begun) < len(layers)
