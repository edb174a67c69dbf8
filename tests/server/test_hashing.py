"""Large blobs are hashed beside the receiving where there is a core for it, else in turn."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.names import digest_of
from pytest_registry.server.store import disk, hashing

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit

MIB = 1024 * 1024


def no_thread(thread: threading.Thread) -> None:
    """What a process that has as many threads as it may meets."""
    raise RuntimeError(f"can't start new thread {thread.name}")


@pytest.fixture(params=["beside", "without a core", "without a thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the ways in which a blob is hashed."""
    cores = 0 if request.param == "without a core" else 1
    monkeypatch.setattr(hashing, "_free_cores", threading.BoundedSemaphore(cores))
    if request.param == "without a thread":
        real = hashing.Beside

        def beside(digest: hashing.Digest) -> hashing.Beside:
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(threading.Thread, "start", no_thread)
                return real(digest)

        monkeypatch.setattr(hashing, "Beside", beside)
    return str(request.param)


def hashing_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "hashing"]


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 12345])
@pytest.mark.usefixtures("way")
def test_a_blob_of_any_size_gets_its_digest_whoever_hashes_it(anywhere: Asked, size: int) -> None:
    blob = os.urandom(size)
    digest = anywhere.push_blob("a", blob)
    assert anywhere.ask("GET", f"/v2/a/blobs/{digest}").body == blob
    anywhere.push_blob("a", blob, "sha512")


@pytest.mark.usefixtures("way")
def test_a_large_blob_with_another_digest_is_refused(registry: Asked) -> None:
    path = f"/v2/a/blobs/uploads/?digest={digest_of(b'other')}"
    assert registry.ask("POST", path, os.urandom(5 * MIB)).codes == ["DIGEST_INVALID"]
    assert registry.files() == []


@pytest.mark.usefixtures("way")
def test_a_large_chunk_that_breaks_off_is_resumed_from_where_it_was_hashed(registry: Asked) -> None:
    blob, came = os.urandom(8 * MIB), 5 * MIB + 4321
    path = registry.start_upload("a")
    head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(blob)}\r\n\r\n"
    assert b"SIZE_INVALID" in registry.raw(head.encode() + blob[:came])
    assert registry.ask("GET", path)["Range"] == f"0-{came - 1}"
    rest = f"{came}-{len(blob) - 1}"
    assert registry.ask("PATCH", path, blob[came:], content_range=rest).status == 202
    assert registry.ask("PUT", f"{path}?digest={digest_of(blob)}").status == 201
    assert hashing_threads() == []


@pytest.mark.usefixtures("way")
def test_a_disk_that_fills_up_ends_the_hashing_too(
    registry: Asked, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = os.urandom(8 * MIB)
    with monkeypatch.context() as patched:
        patched.setattr(disk, "FileIO", kit.full_disk(4_000_000))
        path = f"/v2/a/blobs/uploads/?digest={digest_of(blob)}"
        assert registry.ask("POST", path, blob).status == 507
    assert (registry.files(), hashing_threads()) == ([], [])
    registry.push_blob("a", blob)


def test_of_many_large_uploads_at_once_only_as_many_as_there_are_cores_have_a_second_thread(
    registry: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_free_cores", threading.BoundedSemaphore(2))
    together, most = threading.Lock(), [0]
    real = hashing.Beside.add

    def add(beside: hashing.Beside, count: int) -> None:
        with together:
            most[0] = max(most[0], len(hashing_threads()))
        real(beside, count)

    monkeypatch.setattr(hashing.Beside, "add", add)
    blobs = [os.urandom(6 * MIB) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda blob: registry.push_blob("a", blob), blobs))
    assert digests == [digest_of(blob) for blob in blobs]
    assert 1 <= most[0] <= 2
    assert hashing_threads() == []
