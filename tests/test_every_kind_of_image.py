"""Every kind of image goes in by `registry.push`, and on by `registry.copy`, to the byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import Credentials, Registry, synthetic_image
from pytest_registry.errors import AuthenticationFailed, RegistryError
from pytest_registry.images.broken import Kind
from pytest_registry.images.layout_writer import LayoutWriter
from pytest_registry.images.source import ImageSource
from pytest_registry.images.transfer import transfer
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.security.credentials import client_auth_config

Factory = Callable[..., Registry]
Make = Callable[[Path], "Path | ImageSource"]

PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture(scope="module")
def secured(registry_factory: Factory) -> Registry:
    """A registry with tokens and TLS."""
    return registry_factory(engine="embedded", auth="bearer", tls="on", storage="memory")


@pytest.fixture(scope="module")
def plain(registry_factory: Factory) -> Registry:
    """Another registry, to copy to."""
    return registry_factory(engine="embedded", storage="memory")


def layout(directory: Path) -> Path:
    transfer(synthetic_image(4, platforms=PLATFORMS), LayoutWriter(directory / "layout", "1"))
    return directory / "layout"


def layout_archive(directory: Path) -> Path:
    shutil.make_archive(str(directory / "image"), "tar", layout(directory))
    return directory / "image.tar"


def program(directory: Path) -> Path:
    (directory / "program").write_bytes(b"\x7fELF")
    return directory / "program"


KINDS: dict[str, Make] = {
    "one-layer": lambda _: synthetic_image(),
    "many-layers": lambda _: synthetic_image(layers=12, layer_size=10),
    "docker-media-types": lambda _: synthetic_image(media_types="docker"),
    "several-platforms": lambda _: synthetic_image(platforms=PLATFORMS),
    "docker-manifest-list": lambda _: synthetic_image(platforms=PLATFORMS, media_types="docker"),
    "with-a-program": lambda directory: synthetic_image(binary=program(directory)),
    "with-files": lambda _: synthetic_image(files={"etc/motd": b"hello"}),
    "artifact": lambda _: synthetic_image(artifact_type="application/x-sbom"),
    "layout": layout,
    "layout-archive": layout_archive,
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_pushed_and_copied_to_the_byte(
    secured: Registry, plain: Registry, kind: str, tmp_path: Path
) -> None:
    pushed = secured.push(KINDS[kind](tmp_path), kind)
    beside = secured.copy(pushed, secured, f"copies/{kind}")
    elsewhere = secured.copy(pushed, plain, kind)
    assert beside.digest == elsewhere.digest == pushed.digest
    secured.assert_same(pushed, beside)
    assert plain.client.pull(kind, "latest", tmp_path / "pulled").digest == pushed.digest


def test_a_copy_within_one_registry_mounts_and_moves_no_blob(
    secured: Registry, tmp_path: Path
) -> None:
    pushed = secured.push(synthetic_image(7, layer_size=100_000), "origin")
    moved: list[int] = []

    class Told:
        def begin(self, _blob: Descriptor) -> None:
            return

        def moved(self, _blob: Descriptor, size: int) -> None:
            moved.append(size)

        def end(self, _blob: Descriptor, *, skipped: bool) -> None:
            assert skipped

    secured.client.copy("origin", pushed.tag, secured.client, "mounted", "1", progress=Told())
    assert moved == []
    secured.assert_same("origin", "mounted:1")


def test_what_refers_to_an_image_is_found(secured: Registry) -> None:
    image = synthetic_image(8)
    secured.push(image, "signed")
    signature = synthetic_image(9, artifact_type="application/x-signature", subject=image)
    secured.push(signature, "signed", "signature")
    secured.assert_referred("signed", "latest", "application/x-signature")


@pytest.mark.parametrize("kind", ["wrong-digest", "missing-blob", "malformed-manifest"])
def test_what_no_registry_should_take_is_refused(secured: Registry, kind: Kind) -> None:
    with pytest.raises(RegistryError):
        secured.push(synthetic_image(10).broken(kind), f"broken/{kind}")
    secured.assert_missing(f"broken/{kind}")


@pytest.mark.parametrize("kind", ["wrong-diff-id", "unknown-media-type"])
def test_what_only_clients_can_find_out_is_taken(secured: Registry, kind: Kind) -> None:
    broken = synthetic_image(10).broken(kind)
    assert secured.push(broken, f"broken/{kind}").digest == broken.digest


def test_an_upstream_is_read_with_the_user_s_own_login(
    secured: Registry, plain: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = synthetic_image(11)
    plain.push(made, "team/app")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    config = tmp_path / "config.json"
    reference = plain.reference("team/app")
    for password, fits in (("wrong", False), (plain.credentials.password, True)):
        login = Credentials(plain.credentials.username, password)
        config.write_text(client_auth_config({plain.host: login}))
        further = secured.logged_in(secured.credentials)  # which has read no config yet
        if fits:
            assert further.push(reference, "from/upstream").digest == made.digest
        else:
            with pytest.raises(AuthenticationFailed):
                further.push(reference, "from/upstream")


@pytest.mark.container_engine
def test_the_archive_that_docker_save_writes_is_pushed(
    secured: Registry, ci_nginx_image: str, tmp_path: Path
) -> None:
    archive = tmp_path / "nginx.tar"
    subprocess.run(["docker", "save", "--output", str(archive), ci_nginx_image], check=True)
    pushed = secured.push(archive, "saved/nginx")
    config = secured.blob("saved/nginx", secured.manifest("saved/nginx").blobs[0].digest)
    assert json.loads(config)["config"]["Cmd"] is not None
    assert pushed.size > 1_000_000


@pytest.mark.container_engine
def test_an_image_of_the_engine_is_pushed_over_tls_with_tokens(
    secured: Registry, ci_nginx_image: str
) -> None:
    pushed = secured.push(ci_nginx_image, "engine/nginx")
    assert secured.pull(pushed, fresh=True).digest == pushed.digest
