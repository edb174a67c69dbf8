"""The handle that users hold, on the embedded registry and without any container engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_registry import OciClient, Registry, synthetic_image
from pytest_registry.contents import repository_of
from pytest_registry.errors import (
    EngineUnavailable,
    ImageNotFound,
    InvalidReference,
    OptionError,
    RegistryError,
    TransferError,
    Unsupported,
)
from pytest_registry.images.image import Image

MADE_UP = Image("host/a:1", "a", "1", "sha256:0", 1, synthetic="nginx was not to be had")


@pytest.fixture(scope="module")
def held(
    registry_factory: Callable[..., Registry], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """A registry where no container engine answers and upstream is nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
        state = tmp_path_factory.mktemp("state")
        yield registry_factory(engine="embedded", upstream="127.0.0.1:1", state_dir=str(state))


@pytest.fixture(scope="module")
def image(held: Registry) -> Image:
    return held.push(synthetic_image(layers=2), "handle/image", "1")


def test_the_handle_says_where_it_is_and_never_its_password(held: Registry) -> None:
    assert held.url == f"{held.scheme}://{held.host}" == f"http://{held.host}"
    assert held.ca_file is None
    assert held.engine == "embedded"
    assert held.credentials.username
    for shown in (repr(held), repr(held.endpoint), repr(held.client), repr(held.credentials)):
        assert held.credentials.password not in shown


def test_a_pushed_image_has_reference_digest_and_size_and_can_be_pinned(
    held: Registry, image: Image
) -> None:
    manifest = held.manifest("handle/image", "1")
    assert image.reference == f"{held.host}/handle/image:1"
    assert held.reference("handle/image", tag="1") == image.reference
    assert image.pinned == f"{held.host}/handle/image@{manifest.digest}"
    assert image.size == len(manifest.content) + sum(blob.size for blob in manifest.blobs)
    assert held.image("handle/image", "1") == image


def test_a_pull_without_an_engine_verifies_everything_by_image_or_by_name(
    held: Registry, image: Image
) -> None:
    assert not held.has_container_engine
    assert held.pull(image) == held.pull("handle/image", "1", fresh=True) == image


def test_what_is_held_can_be_listed_read_copied_and_deleted(held: Registry, image: Image) -> None:
    copied = held.copy(image, held, "handle/copied")
    assert copied.digest == image.digest
    assert {"handle/copied", "handle/image"} <= set(held.repositories())
    assert held.tags("handle/copied") == ["1"]
    assert held.tags("handle/none") == []
    layer = held.manifest("handle/copied", "1").layers[0]
    assert len(held.blob("handle/copied", layer.digest)) == layer.size
    held.delete("handle/copied", "1")
    assert not held.exists("handle/copied", "1")
    assert held.exists("handle/image", "1")


def test_an_image_stands_for_its_repository_and_its_tag(held: Registry) -> None:
    image = held.push(synthetic_image(5), "handle/stands", "1")
    held.push(synthetic_image(6), "handle/stands", "2")
    assert held.reference(image) == held.daemon_reference(image) == image.reference
    assert held.image(image) == image
    assert held.image(image, "2").tag == "2"
    assert held.tags(image) == ["1", "2"]
    assert held.manifest(image).digest == image.digest
    assert len(held.blob(image, held.manifest(image).layers[0].digest)) > 0
    assert held.referrers(image, image.digest) == ()
    held.assert_exists(image)
    held.assert_missing(image, "3")
    held.assert_tags(image, "1", "2")
    held.delete(image)
    held.assert_missing(image)
    with pytest.raises(AssertionError, match="does not hold handle/stands:1;"):
        held.assert_exists(image)


def test_an_image_can_be_asked_for_by_its_digest(held: Registry, image: Image) -> None:
    found = held.image("handle/image", image.digest)
    assert (found.tag, found.digest, found.size) == ("", image.digest, image.size)
    assert found.reference == found.pinned == image.pinned == held.reference(found)
    assert held.pull("handle/image", image.digest) == held.pull(found) == found
    assert held.exists(found)
    copied = held.copy(found, held, "handle/by-digest")
    assert (copied.repository, copied.tag, copied.digest) == ("handle/by-digest", "", image.digest)
    assert held.tags(copied) == []
    assert held.copy(found, held, "handle/by-digest", "1").tag == "1"


@pytest.mark.parametrize(
    "use",
    [
        lambda held: held.reference("Upper/case"),
        lambda held: held.reference("fine", tag="not fine"),
        lambda held: held.push("Not A Name", "fine"),
        lambda held: held.push("fine", "Not/Fine"),
        lambda held: held.push(synthetic_image(), "fine", "a/b"),
        lambda held: held.pull("Not A Name"),
        lambda held: held.pull("fine", "a b"),
        lambda held: held.image("../escape"),
        lambda held: held.exists("fine", "sha256:short"),
        lambda held: held.blob("fine", "sha256:short"),
        lambda held: held.push(synthetic_image(), "fine", None),
        lambda held: held.push(synthetic_image(), "fine", f"sha256:{'0' * 64}"),
        lambda held: held.push("x" * 300),
        lambda held: held.pull(None),
        lambda held: held.tags(5),
        lambda held: held.client.tags(b"fine"),
    ],
)
def test_a_malformed_reference_is_refused_before_anything_is_sent(
    held: Registry, use: Callable[[Registry], Any]
) -> None:
    with pytest.raises(InvalidReference) as caught:
        use(held)
    assert "is not a" in caught.value.happened
    assert "write [REGISTRY/]REPOSITORY" in caught.value.remedy
    assert "fine" not in held.repositories()


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        (lambda held: held.pull("handle/none"), ImageNotFound),
        (lambda held: held.image("handle/image", "none"), ImageNotFound),
        (lambda held: held.manifest("handle/none"), ImageNotFound),
        (lambda held: held.delete("handle/none"), ImageNotFound),
        (lambda held: held.copy("handle/none", held, "a/b"), ImageNotFound),
        (lambda held: held.push(Path("/no/such/archive"), "a/b"), TransferError),
        (lambda held: held.push("nginx", "a/b"), TransferError),
        (lambda held: held.docker, EngineUnavailable),
    ],
)
def test_what_cannot_be_done_is_told_with_a_remedy(
    held: Registry, use: Callable[[Registry], Any], kind: type[RegistryError]
) -> None:
    with pytest.raises(kind) as caught:
        use(held)
    assert caught.value.asked
    assert caught.value.happened
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda held: held.push(MADE_UP, "wrong/a"), r"push Image\((.|\n)*registry\.copy"),
        (lambda held: held.push(None), "push None"),
        (lambda held: held.push(5, "wrong/a"), "push 5"),
        (lambda held: held.push(b"x" * 9999, "wrong/a"), "push b'xxx"),
        (lambda held: held.client.push("nginx", "wrong/a"), "push 'nginx'"),
        (lambda held: held.client.push(Path("a.tar"), "wrong/a"), "push PosixPath"),
        (lambda held: held.client.pull("handle/image", "1", to="a"), "pull to 'a'"),
        (lambda held: held.client.pull("handle/image", "1", Path(__file__)), "it is a file"),
    ],
)
def test_what_is_no_image_or_no_directory_is_refused_by_its_value(
    held: Registry, use: Callable[[Registry], Any], told: str
) -> None:
    with pytest.raises(OptionError, match=told) as caught:
        use(held)
    assert len(str(caught.value)) < 1000
    assert "wrong/a" not in held.repositories()


@pytest.mark.parametrize("source", ["app.tar", "./app.tar", "Images/app.tar"])
def test_a_files_name_that_is_given_as_a_text_is_told_to_be_a_path(
    held: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryError) as caught:
        held.push(source)
    assert "pathlib.Path" not in caught.value.remedy
    path = tmp_path / source
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(RegistryError, match=r"What to do: give a file .* pathlib\.Path"):
        held.push(source)


def test_an_upstream_registry_has_one_client_however_many_images_come_from_it(
    held: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = OciClient.for_registry

    def for_registry(registry: str) -> OciClient:
        made.append(registry)
        return make(registry)

    monkeypatch.setattr(OciClient, "for_registry", for_registry)
    for source in ("127.0.0.1:2/a", "127.0.0.1:2/b", "127.0.0.1:3/a"):
        with pytest.raises(TransferError):
            held.push(source, "handle/a")
    assert made == ["127.0.0.1:2", "127.0.0.1:3"]


def test_a_made_up_image_cannot_be_run(held: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(held), "docker", object())
    with pytest.raises(Unsupported, match="nginx was not to be had"), held.run(MADE_UP):
        pass


def test_without_an_engine_it_is_the_engine_that_an_image_lacks_to_be_run(held: Registry) -> None:
    with pytest.raises(EngineUnavailable, match="reach a container engine"), held.run(MADE_UP):
        pass


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("docker.io/library/nginx", "nginx"),
        ("registry.test:5000/team/app:1", "team/app"),
        (f"team/app@sha256:{'a' * 64}", "team/app"),
        (Path("/some/where/app.tar"), "app"),
        (Path("/some/where/App"), "app"),
    ],
)
def test_a_source_is_pushed_under_its_own_name(source: str | Path, repository: str) -> None:
    assert repository_of(source) == repository
