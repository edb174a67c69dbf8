"""Synthetic images: the same everywhere, right inside, and wrong where that is asked for."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_registry.clients.oci import OciClient
from pytest_registry.errors import ImageNotFound, OptionError
from pytest_registry.images.broken import Kind
from pytest_registry.images.layers import File, Layer, random_blocks, stored_gzip
from pytest_registry.images.platform import OnePlatform, Platform
from pytest_registry.images.source import ImageSource, blocks_of
from pytest_registry.images.synthetic import LABEL, synthetic_image
from pytest_registry.oci import media_types as types
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.names import digest_of, is_repository
from tests.images.conftest import content_of

if TYPE_CHECKING:
    from tests.images.conftest import Docker

MIB = 1 << 20
AMD64 = ("linux/amd64",)


def config_of(image: ImageSource) -> dict[str, Any]:
    config = image.root().config
    assert config is not None
    return dict(json.loads(content_of(image, config)))


def files_of(layer: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:gz") as tar:
        members = [member for member in tar if member.isreg()]
        return {each.name: (tar.extractfile(each) or io.BytesIO()).read() for each in members}


def test_the_same_arguments_give_the_same_image_on_every_machine() -> None:
    image = synthetic_image(7, layers=2, layer_size=100, platforms=AMD64)
    assert image.digest == GOLDEN
    assert image.digest == synthetic_image(7, layers=2, layer_size=100, platforms=AMD64).digest


# Written down once: a change of it means that everybody's digests change.
GOLDEN = "sha256:6f94bf9d57b8ddb3086656a0a8e1f71e031576c58d703170d84696f5323d27fe"


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"layers": 3},
        {"layer_size": 101},
        {"platforms": ("linux/arm64",)},
        {"media_types": "docker"},
        {"config": {"Env": ["A=1"]}},
        {"files": {"etc/x": b"x"}},
        {"annotations": {"a": "b"}},
        {"artifact_type": "a/b", "platforms": ()},
    ],
)
def test_every_argument_makes_another_image(other: Mapping[str, Any]) -> None:
    usual = {"seed": 7, "layers": 2, "layer_size": 100, "platforms": AMD64}
    assert synthetic_image(**{**usual, **other}).digest != GOLDEN


@pytest.mark.parametrize("media_types", ["oci", "docker"])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 70_000, 3 * MIB + 1])
def test_descriptors_and_diff_ids_are_those_of_the_content(media_types: Any, size: int) -> None:
    image = synthetic_image(1, layers=2, layer_size=size, media_types=media_types)
    config = config_of(image)
    for number, descriptor in enumerate(image.root().layers):
        layer = content_of(image, descriptor)
        assert (len(layer), digest_of(layer)) == (descriptor.size, descriptor.digest)
        assert digest_of(gzip.decompress(layer)) == config["rootfs"]["diff_ids"][number]
        assert {name: len(content) for name, content in files_of(layer).items()} == {
            f"layer-{number}": size
        }
    assert len(config["history"]) == 2


def test_media_types_are_of_one_family() -> None:
    for family, manifest, index, layer in (
        ("oci", types.OCI_MANIFEST, types.OCI_INDEX, types.OCI_LAYER_GZIP),
        ("docker", types.DOCKER_MANIFEST, types.DOCKER_INDEX, types.DOCKER_LAYER_GZIP),
    ):
        image = synthetic_image(platforms=("linux/amd64", "linux/arm64"), media_types=family)  # type: ignore[arg-type]
        root = image.root()
        assert root.media_type == index
        assert {each.media_type for each in root.manifests} == {manifest}
        assert image.child(root.manifests[0]).layers[0].media_type == layer


def test_a_large_image_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        image = synthetic_image(1, layer_size=48 * MIB)
        size = sum(len(block) for block in blocks_of(image.open(image.root().layers[0])))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 48 * MIB
    assert peak < 16 * MIB


def test_an_index_has_an_image_for_each_platform() -> None:
    index = synthetic_image(1, platforms=("linux/amd64", "linux/arm/v7", "windows/amd64"))
    assert index.root().is_index
    for entry, name in zip(
        index.root().manifests, ("linux/amd64", "linux/arm/v7", "windows/amd64"), strict=True
    ):
        one = OnePlatform(index, Platform.parse(name))
        assert one.root().digest == entry.digest
        config = config_of(one)
        assert Platform(config["os"], config["architecture"], config.get("variant")) == (
            Platform.parse(name)
        )


def test_nobody_takes_it_for_another_image() -> None:
    image = synthetic_image(5, config={"Labels": {"mine": "too"}})
    assert config_of(image)["config"]["Labels"] == {"mine": "too", LABEL: "5"}
    assert image.name == "synthetic-5"
    assert is_repository(image.name)


def test_files_and_a_program_are_its_first_layer(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    image = synthetic_image(
        binary=program, files={"/etc/deep/x": b"content", "y": b""}, config={"Cmd": ["a"]}
    )
    layer = content_of(image, image.root().layers[0])
    assert files_of(layer) == {"program": b"\x7fELF", "etc/deep/x": b"content", "y": b""}
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        kinds = {member.name: (member.isdir(), member.mode, member.mtime) for member in tar}
    assert kinds["etc/deep"] == (True, 0o755, 0)
    assert kinds["program"] == (False, 0o755, 0)
    run = config_of(image)["config"]
    assert (run["Entrypoint"], run["Cmd"]) == (["/program"], ["a"])
    other = synthetic_image(binary=program, entrypoint=["/program", "x"])
    assert config_of(other)["config"]["Entrypoint"] == ["/program", "x"]


def test_an_artifact_follows_the_specifications_guidance() -> None:
    image = synthetic_image(1)
    artifact = synthetic_image(
        2, artifact_type="application/vnd.example", subject=image, annotations={"a": "b"}
    ).root()
    assert artifact.artifact_type == "application/vnd.example"
    assert artifact.subject == image.descriptor
    assert artifact.annotations == {"a": "b"}
    assert artifact.config == Descriptor.of(b"{}", types.OCI_EMPTY)
    empty = synthetic_image(2, layers=0, artifact_type="a/b").root()
    assert empty.layers == (empty.config,)
    image_about = synthetic_image(3, subject=image.descriptor).root()
    assert image_about.subject == image.descriptor


@pytest.mark.parametrize(
    "arguments",
    [
        {"media_types": "appc"},
        {"media_types": "docker", "annotations": {"a": "b"}},
        {"media_types": "docker", "artifact_type": "a/b"},
        {"artifact_type": "a/b", "platforms": AMD64},
        {"artifact_type": "a/b", "files": {"x": b""}},
        {"platforms": ("linux",)},
        {"platforms": ("linux/arm/v7/x",)},
        {"layers": -1},
        {"layer_size": -1},
        {"binary": Path("/no/such/program")},
        {"binary": "/bin/sh"},
        {"files": {"x": "text"}},
    ],
)
def test_what_cannot_be_together_or_be_read_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        synthetic_image(**arguments)


def test_the_digests_are_found_once_for_a_shared_layer() -> None:
    layer = Layer((File.random("x", 1000, "seed"),))
    content = layer.open().read()
    assert (layer.digest, layer.size) == (digest_of(content), len(content))
    assert layer.diff_id == digest_of(gzip.decompress(content))


@given(st.lists(st.binary(max_size=200_000), max_size=4))
@settings(max_examples=40, deadline=None)
def test_every_gzip_of_stored_blocks_unpacks_to_what_went_in(blocks: list[bytes]) -> None:
    assert gzip.decompress(b"".join(stored_gzip(blocks))) == b"".join(blocks)


@given(st.integers(0, 3 * MIB), st.text(max_size=5))
@settings(max_examples=25, deadline=None)
def test_random_content_has_its_size_and_is_always_the_same(size: int, seed: str) -> None:
    content = b"".join(random_blocks(size, seed))
    assert len(content) == size
    assert content == b"".join(random_blocks(size, seed))
    assert len(gzip.compress(content, 1)) >= size


# Broken ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_is_wrong_in_one_thing_and_the_image_itself_stays_sound(kind: Kind) -> None:
    image = synthetic_image(1, layers=2)
    broken = image.broken(kind)
    assert broken.name == f"synthetic-1-{kind}"
    assert wrongs(image) == set()
    assert wrongs(broken) == {kind}


def wrongs(image: ImageSource) -> set[str]:
    """What a careful reader finds wrong."""
    found = set()
    root = image.root()
    try:
        value = json.loads(root.content)
    except ValueError:
        return {"malformed-manifest"}
    if root.media_type not in types.EVERY_MANIFEST:
        found.add("unknown-media-type")
    diff_ids = config_of(image)["rootfs"]["diff_ids"]
    for number, entry in enumerate(value["layers"]):
        descriptor = Descriptor.from_json(entry)
        if descriptor.digest in image.flaws.unsent:
            with pytest.raises(ImageNotFound):
                image.open(descriptor)
            found.add("missing-blob")
            continue
        content = content_of(image, descriptor)
        if digest_of(content) != descriptor.digest:
            found.add("wrong-digest")
            continue
        if len(content) != descriptor.size:
            found.add("wrong-size")
        if digest_of(gzip.decompress(content)) != diff_ids[number]:
            found.add("wrong-diff-id")
    return found


def test_an_unknown_kind_and_what_cannot_be_broken_are_refused() -> None:
    with pytest.raises(OptionError, match="give one of wrong-digest"):
        synthetic_image().broken("wrong-colour")  # type: ignore[arg-type]
    for image in (synthetic_image(layers=0), synthetic_image(platforms=("a/b", "c/d"))):
        with pytest.raises(OptionError, match="index, or has no layers"):
            image.broken("wrong-size")


# In an engine -----------------------------------------------------------------------------------


@pytest.mark.parametrize("media_types", ["oci", "docker"])
def test_docker_pulls_and_runs_it(
    client: OciClient, docker: Docker, busybox: Path, media_types: Any
) -> None:
    image = synthetic_image(1, layers=3, binary=busybox, media_types=media_types)
    client.push(image, "made", "1")
    name = docker.own(f"{client.host}/made:1")
    assert docker("run", "--rm", "--network=none", name, "echo", "it runs") == "it runs\n"
    sizes = docker("run", "--rm", "--network=none", name, "wc", "-c", "/layer-0", "/layer-2")
    assert sizes.split()[0:3:2] == ["1024", "1024"]


def test_docker_takes_this_machines_platform_of_an_index(
    client: OciClient, docker: Docker, busybox: Path
) -> None:
    here = str(Platform.of_machine())
    index = synthetic_image(2, platforms=("linux/s390x", here), binary=busybox)
    client.push(index, "made", "2")
    name = docker.own(f"{client.host}/made:2")
    assert docker("run", "--rm", "--network=none", name, "echo", "it runs") == "it runs\n"


def test_docker_refuses_a_wrong_diff_id(client: OciClient, docker: Docker, busybox: Path) -> None:
    client.push(synthetic_image(3, binary=busybox).broken("wrong-diff-id"), "made", "3")
    with pytest.raises(AssertionError):
        docker("pull", docker.own(f"{client.host}/made:3"))


def test_hashes_agree_with_a_second_way_of_making_the_tar() -> None:
    image = synthetic_image(9, layer_size=10, platforms=AMD64)
    content = b"".join(random_blocks(10, "layer 9/linux/amd64/0"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("layer-0")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    plain = gzip.decompress(content_of(image, image.root().layers[0]))
    # tarfile pads to records of 10 KiB, which nobody needs.
    assert buffer.getvalue().startswith(plain)
    assert hashlib.sha256(plain).hexdigest() in json.dumps(config_of(image))


def test_an_image_is_shown_by_name_and_digest_however_large_it_is() -> None:
    image = synthetic_image(7, layers=20, platforms=("linux/amd64", "linux/arm64"))
    assert repr(image) == f"{image}" == f"<SyntheticImage synthetic-7 {image.digest}>"
    broken = synthetic_image().broken("malformed-manifest")
    assert f"{broken}" == f"<SyntheticImage synthetic-0-malformed-manifest {broken.digest}>"
