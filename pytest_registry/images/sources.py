"""From what users write to an image that can be pushed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pytest_registry.errors import ImageNotFound, InvalidReference, OptionError, RegistryError
from pytest_registry.images.docker_archive import ARCHIVE_FILE, docker_archive
from pytest_registry.images.files import DirectoryFiles, Files, tar_files
from pytest_registry.images.layout import LayoutImage
from pytest_registry.images.layout_writer import INDEX_FILE
from pytest_registry.images.platform import OnePlatform, Platform
from pytest_registry.images.source import ImageSource, check_image
from pytest_registry.images.upstream import RegistryImage, RegistryReader
from pytest_registry.oci.reference import DOCKER_HUB, Reference


class Connect(Protocol):
    """How a registry is reached: `OciClient.for_registry` in all but tests."""

    def __call__(self, registry: str, /) -> RegistryReader:
        """A client of the registry that a reference names."""


def resolve(
    source: str | Path | ImageSource,
    *,
    connect: Connect,
    upstream: str = DOCKER_HUB,
    platform: str | None = None,
    all_platforms: bool = False,
) -> ImageSource:
    """The image that `source` means.

    A string is a reference, of the `upstream` registry where it names none; of an index it is the
    image for `platform`, this machine's by default, or everything with `all_platforms`. A Path is
    an OCI layout (directory or tar) or an archive of `docker save`; of these everything is taken
    that is there. An image is what it is, or its part for `platform`.

    Nothing is read of a registry yet. Raises InvalidReference, OptionError, ImageNotFound.
    """
    check_source(source)
    wanted = None if platform is None else Platform.parse(platform)
    if isinstance(source, str):
        image = referenced(source, connect, upstream)
        return image if all_platforms else OnePlatform(image, wanted or Platform.of_machine())
    if isinstance(source, Path):
        source = archived_image(source)
    return source if wanted is None else OnePlatform(source, wanted)


def check_source(source: object) -> None:
    """Raise OptionError for what is neither a name nor a path nor an image."""
    if not isinstance(source, str | Path):
        check_image(source)


def _check_path(given: object) -> None:
    if not isinstance(given, Path):
        remedy = "give its file or directory as pathlib.Path(...)"
        raise OptionError(f"read the archive {given!r:.300}", "it is no path", remedy)


def referenced(text: str, connect: Connect, upstream: str = DOCKER_HUB) -> RegistryImage:
    """The image, or index, of a registry that a reference names; raises InvalidReference."""
    with hinting_at_paths(text):
        reference = Reference.parse(text, default_registry=upstream)
    return RegistryImage(connect(reference.registry), reference.repository, reference.target)


@contextmanager
def hinting_at_paths(source: object) -> Iterator[None]:
    """Have an error say what to do where a text that names nothing is that of a path here."""
    try:
        yield
    except RegistryError as error:
        # Not Path.exists(), which raises where a text is too long for a path.
        if isinstance(source, str) and source and os.path.exists(source):  # noqa: PTH110
            hint = "give a file or directory as pathlib.Path(...): a string is an image's name"
            named = isinstance(error, InvalidReference) or not error.remedy
            error.remedy = hint if named else f"{hint}; else {error.remedy}"
        raise


def archived_image(path: Path, tag: str | None = None) -> ImageSource:
    """The image in an OCI layout or an archive: the one called `tag`, or the only one.

    An index is taken whole; where the archive holds but a part of it, this machine's platform.
    Raises ImageNotFound, and OptionError for another path than a pathlib.Path.
    """
    _check_path(path)
    files: Files = DirectoryFiles(path) if path.is_dir() else tar_files(path)
    return image_among(files, str(path), tag)


def image_among(files: Files, name: str, tag: str | None = None) -> ImageSource:
    """The image among an archive's files, as `archived_image`; errors call the archive `name`.

    Raises ImageNotFound.
    """
    if files.size(INDEX_FILE) is not None:
        layout = LayoutImage(files, name, tag)
        return layout if layout.is_whole() else OnePlatform(layout)
    if files.size(ARCHIVE_FILE) is not None:
        return docker_archive(files, name, tag)
    raise ImageNotFound(
        f"read {name}",
        f"it holds neither {INDEX_FILE} nor {ARCHIVE_FILE}",
        "give an OCI layout (directory or tar) or what `docker save` wrote",
    )
