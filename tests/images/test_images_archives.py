"""Archives: what `docker save` writes, and files that are no archive at all."""

from __future__ import annotations

import bz2
import gc
import gzip
import json
import lzma
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import ImageNotFound, OptionError
from pytest_registry.images.files import tar_files
from pytest_registry.images.source import ImageSource
from pytest_registry.images.sources import archived_image
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.media_types import OCI_LAYER, OCI_LAYER_GZIP
from tests.images.conftest import add, content_of, layout_of, legacy_archive, tar_of

if TYPE_CHECKING:
    from tests.images.conftest import Docker

BOTH = ("linux/amd64", "linux/arm64")


# docker save ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_an_older_docker_archive_is_pushed(client: OciClient, tmp_path: Path, packed: bool) -> None:
    image = synthetic_image(1, layers=2, layer_size=5000)
    found = archived_image(legacy_archive(image, tmp_path / "saved.tar", packed=packed), "made:1")
    client.push(found, "pushed", "1")
    manifest = client.pull("pushed", "1")
    assert manifest.config is not None
    assert image.root().config is not None
    assert manifest.config.digest == image.root().config.digest  # type: ignore[union-attr]
    kinds = {layer.media_type for layer in manifest.layers}
    assert kinds == {OCI_LAYER_GZIP if packed else OCI_LAYER}
    if packed:
        assert [each.digest for each in manifest.layers] == [
            each.digest for each in image.root().layers
        ]


def test_equal_archives_give_equal_digests(tmp_path: Path) -> None:
    image = synthetic_image(1)
    first = archived_image(legacy_archive(image, tmp_path / "a.tar")).root()
    assert archived_image(legacy_archive(image, tmp_path / "b.tar")).root() == first


def test_an_image_of_an_archive_is_found_by_its_name(tmp_path: Path) -> None:
    path = legacy_archive(synthetic_image(1), tmp_path / "saved.tar")
    assert (
        archived_image(path, "1").root()
        == archived_image(path, "made:1").root()
        == archived_image(path).root()
    )
    with pytest.raises(ImageNotFound, match="it lists made:1"):
        archived_image(path, "other:1")


def test_a_real_docker_save_is_pushed_pulled_and_runs(
    client: OciClient, docker: Docker, busybox: Path, tmp_path: Path
) -> None:
    image = synthetic_image(4, layers=2, binary=busybox)
    client.push(image, "made", "4")
    name = docker.own(f"{client.host}/made:4")
    docker("pull", name)
    docker("save", "-o", str(tmp_path / "saved.tar"), name)
    docker("rmi", name)
    client.push(archived_image(tmp_path / "saved.tar", name), "saved", "1")
    saved = docker.own(f"{client.host}/saved:1")
    assert docker("run", "--rm", "--network=none", saved, "echo", "again") == "again\n"


# Archives that are none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither index.json nor manifest.json|no tar"),
        (b"no tar at all" * 100, "no tar"),
        (gzip.compress(b"no tar at all" * 100, mtime=0), "no tar"),
        (gzip.compress(b"x" * 5000, mtime=0)[:-9], "cannot be unpacked"),
        (bz2.compress(b"x" * 5000)[:-9], "cannot be unpacked"),
        (lzma.compress(b"x" * 5000)[:-9], "cannot be unpacked"),
    ],
    ids=["empty", "text", "gzip of text", "cut gzip", "cut bzip2", "cut xz"],
)
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(content)
    with pytest.raises(ImageNotFound, match=message):
        archived_image(path)


@pytest.mark.parametrize("given", ["image.tar", None, b"image.tar"])
def test_what_is_no_path_is_refused(given: Any) -> None:
    with pytest.raises(OptionError, match=r"it is no path(.|\n)*pathlib\.Path"):
        archived_image(given)


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match="No such file"):
        archived_image(tmp_path / "absent")
    with pytest.raises(ImageNotFound, match=r"neither index\.json nor manifest\.json"):
        archived_image(tmp_path)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"Config": "absent.json", "Layers": []}]',
        b'[{"Config": "c", "Layers": ["absent"]}]',
        b'[{"Config": "c", "Layers": []}, {"Config": "d", "Layers": []}]',
    ],
)
def test_an_archive_with_a_broken_list_is_told(tmp_path: Path, document: bytes) -> None:
    path = tmp_path / "saved.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "manifest.json", document)
        add(tar, "c", b'{"rootfs": {"diff_ids": ["sha256:short"]}}')
    with pytest.raises(ImageNotFound):
        archived_image(path)


def test_links_in_a_circle_or_out_of_the_archive_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "saved.tar"
    with tarfile.open(path, "w") as tar:
        for name, target in (
            ("a", "b"),
            ("b", "a"),
            ("out", "../../etc/passwd"),
            ("abs", "/etc/passwd"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    files = tar_files(path)
    assert [files.size(name) for name in ("a", "b", "out", "abs")] == [None] * 4


def test_threads_read_an_archive_at_once_and_its_file_is_closed(tmp_path: Path) -> None:
    image = synthetic_image(1, layers=6, layer_size=200_000)
    path = tar_of(layout_of(image, tmp_path / "layout"), tmp_path / "layout.tar")
    gc.collect()
    before = open_files()
    layers = image.root().layers
    expected = [content_of(image, layer) for layer in layers]
    assert read_at_once(archived_image(path), layers) == expected
    gc.collect()
    assert open_files() <= before


def read_at_once(image: ImageSource, layers: tuple[Descriptor, ...]) -> list[bytes]:
    with ThreadPoolExecutor(len(layers)) as threads:
        return list(threads.map(lambda layer: content_of(image, layer), layers))


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_docker_archives_since_25_are_taken_as_the_layouts_that_they_are(
    client: OciClient, tmp_path: Path
) -> None:
    image = synthetic_image(1)
    path = layout_of(image, tmp_path / "layout", "made:1")
    layers = [f"blobs/{each.digest.replace(':', '/')}" for each in image.root().blobs]
    entry = {"Config": layers[0], "RepoTags": ["made:1"], "Layers": layers[1:]}
    (path / "manifest.json").write_text(json.dumps([entry]))
    found = archived_image(tar_of(path, tmp_path / "saved.tar"), "made:1")
    assert found.root() == image.root()
    client.push(found, "pushed", "1")
    assert client.pull("pushed", "1") == image.root()
