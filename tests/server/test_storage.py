"""What is kept: full disks, much at once, large blobs, and a restart."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.errors import StateError
from pytest_registry.oci.media_types import OCI_INDEX
from pytest_registry.oci.names import digest_of
from pytest_registry.server import RegistryServer, ServerSettings, uploads
from pytest_registry.server.store import disk
from pytest_registry.server.store.index import StoredManifest
from pytest_registry.server.store.store import open_store
from pytest_registry.server.store.uploads import random_uuid

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit, Serve

MIB = 1024 * 1024
GIB = 1024 * MIB


# Disks -------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_nothing_is_half_stored(
    registry: Asked, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = b"{}", os.urandom(1 * MIB)
    monkeypatch.setattr(disk, "FileIO", kit.full_disk(100_000))
    digest = registry.push_blob("a", small)
    for method in ("POST", "PUT", "PATCH"):
        path = registry.start_upload("a") if method != "POST" else "/v2/a/blobs/uploads/"
        answer = registry.ask(method, f"{path}?digest={digest_of(large)}", large)
        assert (answer.status, answer.codes) == (507, ["DENIED"])
        assert "disk is full" in answer.json["errors"][0]["detail"]
    manifest = kit.image(annotations={"large": "x" * MIB})
    assert registry.push_manifest("a", "t", manifest).status == 507
    assert registry.ask("GET", "/v2/a/manifests/t").status == 404
    assert registry.files() == [f"blobs/sha256/{digest[7:9]}/{digest[7:]}"]
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").body == small
    monkeypatch.undo()
    assert registry.push_blob("a", large)


def test_a_change_after_the_end_is_refused_and_written_into_nobodys_file(tmp_path: Path) -> None:
    """A handler may outlive its server: then the journal's number is another file's."""
    store = open_store(tmp_path / "storage", 60.0)
    store.close()
    others = [(tmp_path / str(number)).open("wb") for number in range(8)]
    manifest = StoredManifest(digest_of(b"{}"), OCI_INDEX, 2)
    with pytest.raises(OSError, match="Bad file descriptor"):
        store.add_manifest("a", "t", manifest, b"{}", ["t"], condition=lambda _: None)
    assert [os.fstat(each.fileno()).st_size for each in others] == [0] * 8
    for each in others:
        each.close()


def test_a_journal_that_cannot_grow_takes_the_change_back(
    registry: Asked, kit: Kit, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    registry.push_image("a", "t")
    before = registry.files()
    real = os.write

    def half(file: int, data: bytes) -> int:
        return real(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    digest = digest_of(b"new")
    answer = registry.ask("POST", f"/v2/a/blobs/uploads/?digest={digest}", b"new")
    assert (answer.status, answer.codes) == (507, ["DENIED"])
    assert registry.push_manifest("a", "u", kit.image(layers=[], x=1)).status == 507
    assert registry.ask("DELETE", "/v2/a/manifests/t").status == 507
    monkeypatch.undo()
    assert registry.files() == before
    registry.push_image("a", "v")
    registry.server.close()
    assert serve().ask("GET", "/v2/a/tags/list").json["tags"] == ["t", "v"]


def test_a_file_size_limit_of_the_kernel_is_a_full_disk(tmp_path: Path) -> None:
    """The same with a real error of a real kernel, in a process of its own."""
    command = [sys.executable, "-m", "pytest_registry", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--storage", str(tmp_path / "storage")],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MIB, MIB))
        assert process.stdout is not None
        address = process.stdout.readline().partition("http://")[2].split()[0]
        try:
            for size, status in ((MIB, 201), (2 * MIB, 507)):
                blob = os.urandom(size)
                connection = http.client.HTTPConnection(address, timeout=30)
                path = f"/v2/a/blobs/uploads/?digest={digest_of(blob)}"
                connection.request("POST", path, blob)
                assert connection.getresponse().status == status
                connection.close()
        finally:
            process.terminate()
    assert list((tmp_path / "storage" / "uploads").iterdir()) == []
    assert len(list((tmp_path / "storage" / "blobs").glob("*/*/*"))) == 1


# Concurrency -------------------------------------------------------------------------------------


def test_equal_blobs_pushed_at_once_are_stored_once(anywhere: Asked) -> None:
    blob = os.urandom(2 * MIB)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        digests = set(pool.map(lambda n: anywhere.push_blob(f"r{n % 4}", blob), range(32)))
        (digest,) = digests
        bodies = pool.map(
            lambda n: anywhere.ask("GET", f"/v2/r{n % 4}/blobs/{digest}").body, range(16)
        )
        assert all(body == blob for body in bodies)
    if anywhere.storage is not None:
        assert anywhere.files() == [f"blobs/sha256/{digest[7:9]}/{digest[7:]}"]


def test_pushes_and_deletions_at_once_leave_a_consistent_store(
    registry: Asked, kit: Kit, serve: Serve
) -> None:
    registry.push_blob("a", kit.empty)

    def work(number: int) -> None:
        tag = f"t{number % 5}"
        content = kit.image(annotations={"number": str(number % 7)})
        assert registry.push_manifest("a", tag, content).status == 201
        assert registry.ask("GET", f"/v2/a/manifests/{tag}").status in (200, 404)
        digest = digest_of(content)
        assert registry.ask("DELETE", f"/v2/a/manifests/{digest}").status in (202, 404)
        blob = str(number % 3).encode()
        registry.push_blob("b", blob)
        registry.ask("DELETE", f"/v2/b/blobs/{digest_of(blob)}")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(150)))
    tags = registry.ask("GET", "/v2/a/tags/list").json["tags"]
    assert all(registry.ask("GET", f"/v2/a/manifests/{tag}").status == 200 for tag in tags)
    files = registry.files()
    registry.server.close()
    again = serve()
    assert again.files() == files
    assert again.ask("GET", "/v2/a/tags/list").json["tags"] == tags


def test_the_journal_does_not_grow_by_what_is_pushed_again(registry: Asked) -> None:
    assert registry.storage is not None
    journal, sizes = registry.storage / "journal", set()
    for _ in range(3):
        digest = registry.push_image("a", "t")
        registry.push_image("a", digest)
        mount = f"/v2/b/blobs/uploads/?mount={digest_of(b'{}')}&from=a"
        assert registry.ask("POST", mount).status == 201
        sizes.add(journal.stat().st_size)
    assert len(sizes) == 1


def test_two_requests_on_one_upload_take_turns(
    registry: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_TURN_SECONDS", 30.0)
    path = registry.start_upload("a")
    parts = [bytes([number]) * 100_000 for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda part: registry.ask("PATCH", path, part), parts))
    assert registry.ask("GET", path)["Range"] == "0-799999"
    answer = registry.ask("PUT", f"{path}?digest={digest_of(b'')}")
    assert answer.status == 400


def test_a_layer_of_5_gib_goes_through_in_constant_memory(tmp_path: Path) -> None:
    """Up and down; the process may grow by a few blocks, not by a fraction of the layer."""
    if shutil.disk_usage(tmp_path).free < 8 * GIB:
        pytest.skip("less than 8 GiB are free for temporary files")
    command = [sys.executable, "-m", "pytest_registry", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--storage", str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        address = process.stdout.readline().partition("http://")[2].split()[0]
        try:
            before = peak(process.pid)
            block = bytes(MIB)
            digest = "sha256:7f06c62352aebd8125b2a1841e2b9e1ffcbed602f381c3dcb3200200e383d1d5"
            connection = http.client.HTTPConnection(address, timeout=60)
            path = f"/v2/a/blobs/uploads/?digest={digest}"
            connection.request("POST", path, (block for _ in range(5 * GIB // MIB)))
            response = connection.getresponse()
            assert (response.status, response.read()) == (201, b"")
            connection.request("GET", f"/v2/a/blobs/{digest}")
            response = connection.getresponse()
            assert sum(len(part) for part in iter(lambda: response.read(MIB), b"")) == 5 * GIB
            connection.close()
            assert peak(process.pid) - before < 8 * MIB
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(tmp_path / "store")  # pytest would keep it for three runs


def peak(pid: int) -> int:
    """The most memory that a process ever had resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# Restarts ----------------------------------------------------------------------------------------


def test_a_registry_finds_what_it_held(serve: Serve, blob: bytes) -> None:
    first = serve()
    digest = first.push_blob("a", blob)
    subject = first.push_image("a", "t")
    link = {"mediaType": "application/x", "digest": subject, "size": 1}
    referrer = first.push_image("b/c", "u", subject=link, annotations={"k": "v"})
    first.push_image("gone", "t")
    first.ask("DELETE", f"/v2/gone/manifests/{subject}")
    first.ask("DELETE", f"/v2/gone/blobs/{digest_of(b'{}')}")
    listed = first.ask("GET", f"/v2/b/c/referrers/{subject}").json
    first.server.close()
    again = serve()
    assert again.ask("GET", f"/v2/a/blobs/{digest}").body == blob
    assert again.ask("HEAD", "/v2/a/manifests/t")["Docker-Content-Digest"] == subject
    assert again.ask("GET", f"/v2/b/c/referrers/{subject}").json == listed
    assert [each["digest"] for each in listed["manifests"]] == [referrer]
    assert again.ask("GET", "/v2/_catalog").json == {"repositories": ["a", "b/c"]}


def test_a_registry_that_was_killed_clears_up_when_it_starts_again(
    serve: Serve, tmp_path: Path
) -> None:
    first = serve()
    first.push_image("a", "t")
    first.server.close()
    storage = tmp_path / "storage"
    (storage / "uploads" / random_uuid()).write_bytes(b"half")
    stray = storage / "blobs" / "sha256" / "00" / ("0" * 64)
    stray.parent.mkdir()
    stray.write_bytes(b"renamed, but never recorded")
    with (storage / "journal").open("a") as file:
        file.write('[["tag","a","half-writ')
    again = serve()
    assert len(again.files()) == 2
    assert again.ask("GET", "/v2/a/tags/list").json["tags"] == ["t"]
    again.push_image("a", "u")
    again.server.close()
    assert serve().ask("GET", "/v2/a/tags/list").json["tags"] == ["t", "u"]


def test_two_registries_never_share_a_directory(registry: Asked) -> None:
    with pytest.raises(StateError, match="another registry is serving from that directory"):
        RegistryServer(ServerSettings(storage=registry.storage))


@pytest.mark.parametrize(
    ("foreign", "why"),
    [
        ({"uploads/photo.jpg": "x", "blobs/a/b/c.txt": "x"}, "is no registry's directory"),
        ({"lock": "", "notes.txt": "x"}, "is no registry's directory"),
        ({"journal": "Dear diary,\n"}, "is no registry's directory"),
        ({"journal": "Dear diary,\n", "lock": ""}, "line 1 of its journal is none"),
        ({"journal": "Dear diary", "lock": ""}, "line 1 of its journal is none"),
        ({"journal": "[]\n", "lock": ""}, "line 1 of its journal is none"),
        ({"journal": '[["dance","a"]]\n', "lock": ""}, "line 1 of its journal is none"),
        ({"journal": '[["blob","a"]]\n', "lock": ""}, "line 1 of its journal is none"),
        (
            {"journal": '[["blob","a","sha256:0",1]]\n[["blob"\n[["x"', "lock": ""},
            "line 2 of its journal is none",
        ),
    ],
)
def test_a_directory_of_somebody_else_is_refused_and_left_as_it_is(
    foreign: dict[str, str], why: str, tmp_path: Path
) -> None:
    for name, text in foreign.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(StateError, match=why):
        RegistryServer(ServerSettings(storage=tmp_path))
    found = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if p.is_file()}
    assert {name: path.read_text() for name, path in found.items()} == foreign


def test_what_others_put_into_a_store_stays_there(serve: Serve, tmp_path: Path) -> None:
    serve().server.close()
    storage = tmp_path / "storage"
    foreign = [
        storage / "uploads" / "photo.jpg",
        storage / "uploads" / "album" / "photo.jpg",
        storage / "blobs" / "a" / "b" / "c.txt",
        storage / "blobs" / "sha256" / "00" / "notes",
        storage / "blobs" / "sha256" / "00" / ("1" * 64),
        storage / "blobs" / "sha256" / "00" / ("0" * 64) / "notes",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    serve().server.close()
    assert [path for path in foreign if not path.exists()] == []


def test_a_server_that_was_killed_at_once_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    RegistryServer(ServerSettings(storage=tmp_path)).close()


def test_only_its_owner_may_read_the_storage(registry: Asked) -> None:
    assert registry.storage is not None
    for path in (registry.storage, *registry.storage.iterdir()):
        assert path.stat().st_mode & 0o077 == 0


def test_a_blob_is_gone_from_the_disk_with_its_last_holder(registry: Asked, blob: bytes) -> None:
    digest = registry.push_blob("a", blob)
    registry.ask("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
    assert len(registry.files()) == 1
    registry.ask("DELETE", f"/v2/a/blobs/{digest}")
    assert len(registry.files()) == 1
    registry.ask("DELETE", f"/v2/b/blobs/{digest}")
    assert registry.files() == []
    assert registry.ask("GET", "/v2/_catalog").json == {"repositories": []}
