"""Images made in memory, from a seed, without any network: the same to the byte everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pytest_registry.errors import OptionError
from pytest_registry.images.broken import Kind, broken
from pytest_registry.images.layers import File, Layer, random_blocks
from pytest_registry.images.platform import Platform
from pytest_registry.images.source import BlockReader, Readable, StoredImage, in_memory
from pytest_registry.oci import media_types as types
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.names import digest_of_blocks

LABEL = "pytest-registry.synthetic"
"""The label of every synthetic image; its value is the seed. Nobody shall take one for nginx."""

CREATED = "1970-01-01T00:00:00Z"
EMPTY = b"{}"
"""The content of the empty descriptor (image-manifest.md, "Guidance for an Empty Descriptor")."""

MediaTypes = Literal["oci", "docker"]
Opener = Callable[[], Readable]


@dataclass(frozen=True)
class _Words:
    """The media types of one family."""

    manifest: str
    index: str
    config: str
    layer: str


_WORDS: dict[str, _Words] = {
    "oci": _Words(types.OCI_MANIFEST, types.OCI_INDEX, types.OCI_CONFIG, types.OCI_LAYER_GZIP),
    "docker": _Words(
        types.DOCKER_MANIFEST, types.DOCKER_INDEX, types.DOCKER_CONFIG, types.DOCKER_LAYER_GZIP
    ),
}


@dataclass(frozen=True, repr=False)
class SyntheticImage(StoredImage):
    """A made image, ready to be pushed. Its name and its label say that it is no real one."""

    @property
    def digest(self) -> str:
        """The digest that a registry will know it by."""
        return self.manifest.digest

    @property
    def descriptor(self) -> Descriptor:
        """What another image's `subject` holds to refer to this one."""
        return self.manifest.describe()

    def broken(self, kind: Kind) -> SyntheticImage:
        """The same image, broken on purpose: see `images.broken`."""
        manifest, blobs, flaws = broken(kind, self.manifest, self.blobs)
        name = f"{self.name}-{kind}"
        return replace(self, name=name, manifest=manifest, blobs=blobs, flaws=flaws)


@dataclass(frozen=True)
class _Recipe:
    """What is asked for, checked."""

    seed: int
    words: _Words
    layers: int
    layer_size: int
    binary: Path | None
    files: Mapping[str, bytes]
    config: Mapping[str, Any]
    artifact_type: str | None
    members: dict[str, Any] = field(default_factory=dict)


def synthetic_image(
    seed: int = 0,
    *,
    layers: int = 1,
    layer_size: int = 1024,
    platforms: Sequence[str] = (),
    media_types: MediaTypes = "oci",
    binary: Path | None = None,
    entrypoint: Sequence[str] | None = None,
    files: Mapping[str, bytes] | None = None,
    config: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    artifact_type: str | None = None,
    subject: Descriptor | SyntheticImage | None = None,
) -> SyntheticImage:
    """Make an image, an index of images, or an artifact; equal arguments give equal digests.

    So they do on all machines of one architecture; where `platforms` are given, on every machine.

    `layers` layers hold `layer_size` random bytes each, made while they are read: large ones take
    no memory. Two or more `platforms` (`linux/arm64`) give an index with an image of each; one or
    none a single image, for this machine by default.

    Real content: `binary`, a static program, becomes a first layer and, unless `entrypoint` says
    otherwise, what a container runs; so do `files` (path to content). `config` is merged into the
    config's own `config` (`{"Env": [...], "Cmd": [...]}`).

    With `artifact_type` it is an OCI artifact: an empty config and `layers` plain blobs. `subject`
    makes it a referrer of another image. `annotations` go into the manifest, or the index.

    Raises OptionError for what cannot be together.
    """
    members = _members(annotations, subject)
    runs = bool(platforms or binary or files or config or entrypoint)
    _check(media_types, min(layers, layer_size), artifact_type, members=bool(members), runs=runs)
    run = {**(config or {})}
    if entrypoint is not None:
        run["Entrypoint"] = list(entrypoint)
    _check_content(binary, files or {})
    words = _WORDS[media_types]
    recipe = _Recipe(
        seed, words, layers, layer_size, binary, files or {}, run, artifact_type, members
    )
    return _build(recipe, tuple(Platform.parse(text) for text in platforms))


def _members(
    annotations: Mapping[str, str] | None, subject: Descriptor | SyntheticImage | None
) -> dict[str, Any]:
    """What stands in the manifest, or index, beside its content."""
    members: dict[str, Any] = {}
    if subject is not None:
        about = subject if isinstance(subject, Descriptor) else subject.descriptor
        members["subject"] = Descriptor(about.media_type, about.digest, about.size).to_json()
    if annotations:
        members["annotations"] = dict(annotations)
    return members


def _check(
    media_types: str, least: int, artifact_type: str | None, *, members: bool, runs: bool
) -> None:
    """Raise OptionError for what cannot be together; `runs`: there is something for a container."""
    if media_types not in _WORDS:
        raise _refused(f"media_types={media_types!r}", "'oci' or 'docker'")
    if least < 0:
        raise _refused("fewer than no layers or bytes", "0 or more")
    if media_types == "docker" and (members or artifact_type):
        raise _refused("annotations, subject or artifact_type", "media_types='oci' with them")
    if artifact_type is not None and runs:
        raise _refused("artifact_type with a container's content", "only layers with it")


def _check_content(binary: object, files: Mapping[str, object]) -> None:
    """Raise OptionError for content that cannot be read."""
    if binary is not None and not (isinstance(binary, Path) and binary.is_file()):
        raise _refused(f"binary={binary!r}", "the pathlib.Path of a file that is there")
    for path, content in files.items():
        if not isinstance(content, bytes | bytearray):
            given = f"files={{{path!r}: {content!r:.100}}}"
            raise _refused(given, "a file's content as bytes: {'etc/motd': b'hello'}")


def _build(recipe: _Recipe, platforms: tuple[Platform, ...]) -> SyntheticImage:
    if recipe.artifact_type is not None:
        return _artifact(recipe)
    if len(platforms) < 2:  # noqa: PLR2004 - one is no index
        return _image(recipe, platforms[0] if platforms else Platform.of_machine())
    plain = replace(recipe, members={})
    return _index(recipe, [(each, _image(plain, each)) for each in platforms])


def _index(recipe: _Recipe, images: Sequence[tuple[Platform, SyntheticImage]]) -> SyntheticImage:
    blobs: dict[str, Opener] = {}
    for _, image in images:
        blobs.update(image.blobs)
    value = {
        "manifests": [
            image.descriptor._replace(extra={"platform": platform.to_json()}).to_json()
            for platform, image in images
        ],
        **recipe.members,
    }
    manifest = _manifest(recipe.words.index, value)
    children = {image.digest: image.manifest for _, image in images}
    return SyntheticImage(_name(recipe), manifest, children, blobs)


def _image(recipe: _Recipe, platform: Platform) -> SyntheticImage:
    layers = _layers(recipe, platform)
    config = _json(_config(recipe, platform, layers))
    described = [Descriptor(recipe.words.layer, each.digest, each.size) for each in layers]
    blobs: dict[str, Opener] = {each.digest: each.open for each in layers}
    return _assembled(recipe, Descriptor.of(config, recipe.words.config), config, described, blobs)


def _artifact(recipe: _Recipe) -> SyntheticImage:
    blobs: dict[str, Opener] = {}
    described = []
    for number in range(recipe.layers):
        seed, size = f"artifact {recipe.seed}/{number}", recipe.layer_size
        digest = digest_of_blocks(random_blocks(size, seed))
        described.append(Descriptor(types.OCTET_STREAM, digest, size))
        blobs[digest] = _random_opener(size, seed)
    empty = Descriptor.of(EMPTY, types.OCI_EMPTY)
    members = {"artifactType": recipe.artifact_type, **recipe.members}
    artifact = replace(recipe, members=members)
    # An artifact without content has the empty descriptor as its one layer.
    return _assembled(artifact, empty, EMPTY, described or [empty], blobs)


def _assembled(
    recipe: _Recipe,
    about: Descriptor,
    config: bytes,
    layers: Sequence[Descriptor],
    blobs: dict[str, Opener],
) -> SyntheticImage:
    value = {
        "config": about.to_json(),
        "layers": [each.to_json() for each in layers],
        **recipe.members,
    }
    manifest = _manifest(recipe.words.manifest, value)
    stored = {about.digest: in_memory(config), **blobs}
    return SyntheticImage(_name(recipe), manifest, {}, stored)


def _layers(recipe: _Recipe, platform: Platform) -> list[Layer]:
    real = [File.of(path.lstrip("/"), content) for path, content in recipe.files.items()]
    if recipe.binary is not None:
        real.insert(0, File.executable(recipe.binary.name, recipe.binary))
    made = [
        Layer((File.random(f"layer-{number}", recipe.layer_size, _seed(recipe, platform, number)),))
        for number in range(recipe.layers)
    ]
    return [Layer(tuple(real)), *made] if real else made


def _config(recipe: _Recipe, platform: Platform, layers: Sequence[Layer]) -> dict[str, Any]:
    run: dict[str, Any] = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/"]}
    if recipe.binary is not None:
        run["Entrypoint"] = [f"/{recipe.binary.name}"]
    run.update(recipe.config)
    run["Labels"] = {**run.get("Labels", {}), LABEL: str(recipe.seed)}
    history = [
        {"created": CREATED, "created_by": f"pytest-registry, layer {n}"}
        for n, _ in enumerate(layers)
    ]
    return {
        **platform.to_json(),
        "created": CREATED,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
        "history": history,
    }


def _manifest(kind: str, value: Mapping[str, Any]) -> Manifest:
    return Manifest.parse(_json({"schemaVersion": 2, "mediaType": kind, **value}), kind)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _random_opener(size: int, seed: str) -> Opener:
    return lambda: BlockReader(random_blocks(size, seed))


def _seed(recipe: _Recipe, platform: Platform, number: int) -> str:
    return f"layer {recipe.seed}/{platform}/{number}"


def _name(recipe: _Recipe) -> str:
    return f"synthetic-{recipe.seed}"


def _refused(given: str, accepted: str) -> OptionError:
    return OptionError("make a synthetic image", f"it does not take {given}", f"give {accepted}")
