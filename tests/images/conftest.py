"""Images from everywhere: a registry to push them to, and docker to look at them."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_registry.clients.oci import OciClient
from pytest_registry.images.layout_writer import LayoutWriter
from pytest_registry.images.source import ImageSource
from pytest_registry.images.synthetic import SyntheticImage
from pytest_registry.images.transfer import transfer
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.server import RegistryServer, ServerSettings


def content_of(image: ImageSource, descriptor: Descriptor) -> bytes:
    with closing(image.open(descriptor)) as stream:
        return stream.read()


def layout_of(image: ImageSource, directory: Path, tag: str | None = "1") -> Path:
    transfer(image, LayoutWriter(directory, tag))
    return directory


def tar_of(directory: Path, to: Path, mode: str = "w") -> Path:
    with tarfile.open(to, mode) as tar:  # type: ignore[call-overload]
        for path in sorted(directory.rglob("*")):
            tar.add(path, path.relative_to(directory).as_posix(), recursive=False)
    return to


def legacy_archive(image: SyntheticImage, to: Path, *, packed: bool = False) -> Path:
    """What `docker save` wrote before docker 25, with a link as it makes for equal layers."""
    root = image.root()
    assert root.config is not None
    entry: dict[str, Any] = {"Config": "config.json", "RepoTags": ["made:1"], "Layers": []}
    with tarfile.open(to, "w") as tar:
        add(tar, "config.json", content_of(image, root.config))
        for number, layer in enumerate(root.layers):
            content = content_of(image, layer)
            add(tar, f"{number}/layer.tar", content if packed else gzip.decompress(content))
            link = tarfile.TarInfo(f"link-{number}/layer.tar")
            link.type, link.linkname = tarfile.SYMTYPE, f"../{number}/layer.tar"
            tar.addfile(link)
            entry["Layers"].append(link.name)
        add(tar, "manifest.json", json.dumps([entry]).encode())
    return to


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[OciClient]:
    """A client of an empty registry of ours."""
    settings = ServerSettings(storage=tmp_path / "registry")
    with RegistryServer(settings) as server, OciClient(server.url) as client:
        yield client


@pytest.fixture(scope="session")
def busybox() -> Path:
    """A static program that runs in an otherwise empty container."""
    found = shutil.which("busybox")
    if found is None:
        pytest.skip("there is no busybox command here (Debian's busybox-static)")
    return Path(found)


class Docker:
    """The docker command; images that a test names are removed after it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, *arguments: str) -> str:
        command = ["docker", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def own(self, name: str) -> str:
        self.names.append(name)
        return name


@pytest.fixture
def docker() -> Iterator[Docker]:
    """The docker command, where an engine answers it."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker command here")
    docker = Docker()
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no container engine answers the docker command")
    yield docker
    if docker.names:
        subprocess.run(["docker", "rmi", "-f", *docker.names], capture_output=True, check=False)
