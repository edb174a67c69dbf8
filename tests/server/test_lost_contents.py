"""Contents that somebody deleted, cut or hid below the registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.server import RegistryServer, ServerSettings
from pytest_registry.server.store import disk
from tests.server.conftest import Asked

if TYPE_CHECKING:
    from tests.server.conftest import Serve


def delete_files(registry: Asked) -> None:
    """What somebody does who clears up below a registry."""
    assert registry.storage is not None
    for name in registry.files():
        (registry.storage / name).unlink()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_that_somebody_deleted_is_unknown_and_pushed_again(
    method: str, registry: Asked, blob: bytes, serve: Serve
) -> None:
    digest = registry.push_blob("a", blob)
    registry.ask("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
    delete_files(registry)
    answer = registry.ask(method, f"/v2/a/blobs/{digest}")
    assert answer.status == 404
    assert method == "HEAD" or answer.codes == ["BLOB_UNKNOWN"]
    # No repository that held it is left with it, after a restart neither.
    assert registry.ask("GET", "/v2/_catalog").json == {"repositories": []}
    registry.server.close()
    registry = serve()
    assert registry.ask("GET", "/v2/_catalog").json == {"repositories": []}
    registry.push_blob("a", blob)
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").body == blob


def test_a_blob_that_somebody_deleted_is_not_mounted(registry: Asked, blob: bytes) -> None:
    digest = registry.push_blob("a", blob)
    delete_files(registry)
    answer = registry.ask("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
    assert answer.status == 202
    assert registry.ask("HEAD", f"/v2/a/blobs/{digest}").status == 404
    assert registry.ask("PUT", f"{answer.path}?digest={digest}", blob).status == 201
    assert registry.ask("GET", f"/v2/b/blobs/{digest}").body == blob


def test_a_manifest_that_somebody_deleted_is_forgotten_with_its_tags(registry: Asked) -> None:
    digest = registry.push_image("a", "t")
    delete_files(registry)
    answer = registry.ask("GET", "/v2/a/manifests/t")
    assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])
    for reference in ("t", digest):
        assert registry.ask("HEAD", f"/v2/a/manifests/{reference}").status == 404
    assert registry.ask("GET", "/v2/a/tags/list").json["tags"] == []
    registry.push_image("a", "t")
    assert registry.ask("HEAD", "/v2/a/manifests/t").status == 200


def test_what_cannot_be_forgotten_on_a_full_disk_is_unknown_all_the_same(
    registry: Asked, blob: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = registry.push_blob("a", blob)
    delete_files(registry)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[: len(data) // 2]))
    for method in ("HEAD", "GET"):
        assert registry.ask(method, f"/v2/a/blobs/{digest}").status == 404
    monkeypatch.undo()
    assert registry.ask("HEAD", f"/v2/a/blobs/{digest}").status == 404
    assert registry.ask("GET", "/v2/_catalog").json == {"repositories": []}


def test_a_content_that_cannot_be_looked_for_is_not_forgotten(registry: Asked, blob: bytes) -> None:
    digest = registry.push_blob("a", blob)
    assert registry.storage is not None
    blobs, aside = registry.storage / "blobs", registry.storage / "aside"
    blobs.rename(aside)
    blobs.touch()  # as unreadable as a directory without the right to search it
    mount = f"uploads/?mount={digest}&from=a"
    for method, path in (("HEAD", digest), ("GET", digest), ("POST", mount)):
        assert registry.ask(method, f"/v2/a/blobs/{path}").status == 500
    blobs.unlink()
    aside.rename(blobs)
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").body == blob


def test_nothing_is_forgotten_while_the_storage_is_away(registry: Asked, blob: bytes) -> None:
    blob_digest, image_digest = registry.push_blob("a", blob), registry.push_image("a", "t")
    assert registry.storage is not None
    aside = registry.storage.with_name("aside")
    registry.storage.rename(aside)
    paths = [f"/v2/a/blobs/{blob_digest}", "/v2/a/manifests/t", f"/v2/a/manifests/{image_digest}"]
    assert {registry.ask("GET", path).status for path in paths} == {500}
    assert registry.ask("HEAD", paths[0]).status == 500
    assert any("the registry's storage is away" in line for line in registry.lines)
    aside.rename(registry.storage)
    assert {registry.ask("GET", path).status for path in paths} == {200}


def test_a_storage_of_a_relative_name_stays_where_it_is(
    tmp_path: Path, blob: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with RegistryServer(ServerSettings(storage="storage")) as server:
        asked = Asked(server, tmp_path / "storage")
        digest = asked.push_blob("a", blob)
        monkeypatch.chdir("/")
        assert asked.ask("GET", f"/v2/a/blobs/{digest}").body == blob
        asked.push_image("a", "t")
    assert len(asked.files()) == 3


def test_pushes_go_on_where_somebody_removed_empty_directories(
    registry: Asked, blob: bytes
) -> None:
    assert registry.storage is not None
    (registry.storage / "uploads").rmdir()
    digest = registry.push_blob("a", blob)
    (registry.storage / "uploads").rmdir()
    empty = registry.push_blob("a", b"")
    registry.push_image("a", "t")
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").body == blob
    assert registry.ask("GET", f"/v2/a/blobs/{empty}").body == b""


@pytest.mark.parametrize("size", [0, 1000, 4000])
def test_a_damaged_content_is_missed_and_pushed_again(
    size: int, registry: Asked, blob: bytes
) -> None:
    digest = registry.push_blob("a", blob)
    image = registry.push_image("a", "t")
    assert registry.storage is not None
    for name in registry.files():
        os.truncate(registry.storage / name, size)
    mount = registry.ask("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
    assert (mount.status, registry.ask("HEAD", f"/v2/a/blobs/{digest}").status) == (202, 404)
    assert registry.ask("GET", "/v2/a/manifests/t").status == 500
    for reference in ("t", image):
        assert registry.ask("HEAD", f"/v2/a/manifests/{reference}").status == 404
    registry.push_blob("a", blob)
    registry.push_image("a", "t")
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").body == blob
    assert registry.ask("GET", "/v2/a/manifests/t").status == 200


@pytest.mark.parametrize("size", [0, 1000, 4000])
def test_a_content_of_another_size_than_it_had_is_our_failure(
    size: int, registry: Asked, blob: bytes
) -> None:
    digest = registry.push_blob("a", blob)
    assert registry.storage is not None
    os.truncate(registry.storage / registry.files()[0], size)
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}")
    assert (answer.status, answer.codes) == (500, ["UNKNOWN"])
    assert any("damaged" in line for line in registry.lines)


def test_a_content_that_shrinks_while_it_is_sent_ends_the_connection(
    registry: Asked, monkeypatch: pytest.MonkeyPatch, blob: bytes
) -> None:
    path = f"/v2/a/blobs/{registry.push_blob('a', blob)}"

    def blocks(content: disk.FileContent) -> Iterator[memoryview]:
        os.truncate(stored, 0)
        return whole(content)

    assert registry.storage is not None
    stored, whole = registry.storage / registry.files()[0], disk.FileContent.blocks
    monkeypatch.setattr(disk.FileContent, "blocks", blocks)
    answer = registry.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), half_close=False)
    assert answer.endswith(b"\r\n\r\n")
    assert any("shorter than it was" in line for line in registry.lines)
