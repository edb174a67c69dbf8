"""Contents that somebody deleted, cut or hid below the registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_registry.server.store import disk

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Serve


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
