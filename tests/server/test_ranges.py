"""Parts of blobs (RFC 9110, section 14) and what a client has already (section 13.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.server.conftest import Asked

SIZE = 3000


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2999),
        ("bytes=-500", 2500, 2999),
        ("bytes=-5000", 0, 2999),
        ("bytes=2000-5000", 2000, 2999),
        ("bytes=2999-2999", 2999, 2999),
        (f"bytes=5-{2**63 - 1}", 5, 2999),
        (f"bytes=-{2**64}", 0, 2999),
        ("bytes=" + "0" * 30 + "5-9", 5, 9),
        ("bytes = 5-9", 5, 9),
        ("Bytes=5-9", 5, 9),
        ("bytes=5-9,", 5, 9),
    ],
)
def test_a_part_is_206(text: str, first: int, last: int, anywhere: Asked, blob: bytes) -> None:
    digest = anywhere.push_blob("a", blob)
    answer = anywhere.ask("GET", f"/v2/a/blobs/{digest}", range=text)
    assert (answer.status, answer.body) == (206, blob[first : last + 1])
    assert answer["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize(
    "text",
    ["items=0-5", "bytes=0-1,5-9", "bytes=0-1, 9000-", "seconds=5-3"],
    ids=["unknown unit", "several", "several, one behind the end", "unknown unit, backwards"],
)
def test_what_may_be_ignored_is_answered_with_the_whole(
    text: str, registry: Asked, blob: bytes
) -> None:
    digest = registry.push_blob("a", blob)
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}", range=text)
    assert (answer.status, answer.body) == (200, blob)


@pytest.mark.parametrize(
    "text",
    [
        "bytes=500-0", "bytes=5000-10000", "bytes=3000-", "bytes=-0", "bytes=", "bytes", "bytes=-",
        "bytes=a-b", "bytes=1", "bytes=0x0-5", "bytes=+1-5", "bytes=--5", "bytes=5-3,9-7",
        "bytes=" + "9" * 30 + "-", "bytes=\u0661-5".encode().decode("latin-1"),
    ],
)  # fmt: skip
def test_what_cannot_be_satisfied_is_416(text: str, registry: Asked, blob: bytes) -> None:
    digest = registry.push_blob("a", blob)
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}", range=text)
    assert (answer.status, answer["Content-Range"]) == (416, f"bytes */{SIZE}")


def test_head_has_no_range(registry: Asked, blob: bytes) -> None:
    digest = registry.push_blob("a", blob)
    answer = registry.ask("HEAD", f"/v2/a/blobs/{digest}", range="bytes=0-5")
    assert (answer.status, answer["Content-Length"]) == (200, str(SIZE))
    assert answer["Accept-Ranges"] == "bytes"


def test_a_range_counts_only_if_the_content_is_the_expected_one(
    registry: Asked, blob: bytes
) -> None:
    digest = registry.push_blob("a", blob)
    for tag, status in ((f'"{digest}"', 206), ('"another"', 200)):
        answer = registry.ask(
            "GET", f"/v2/a/blobs/{digest}", headers={"If-Range": tag}, range="bytes=0-5"
        )
        assert answer.status == status


def test_what_the_client_has_already_is_304(registry: Asked, blob: bytes) -> None:
    blob_digest, image_digest = registry.push_blob("a", blob), registry.push_image("a", "t")
    for path, digest in (
        (f"blobs/{blob_digest}", blob_digest),
        ("manifests/t", image_digest),
    ):
        for known, status in ((f'"{digest}"', 304), (f'"x", W/"{digest}"', 304), ('"x"', 200)):
            for method in ("GET", "HEAD"):
                answer = registry.ask(method, f"/v2/a/{path}", headers={"If-None-Match": known})
                assert answer.status == status
                assert answer["ETag"] == f'"{digest}"'
                assert status == 200 or answer.body == b""


def test_an_empty_blob_has_no_parts(registry: Asked) -> None:
    digest = registry.push_blob("a", b"")
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}")
    assert (answer.status, answer.body, answer["Content-Length"]) == (200, b"", "0")
    assert registry.ask("GET", f"/v2/a/blobs/{digest}", range="bytes=0-").status == 416
    assert registry.ask("GET", f"/v2/a/blobs/{digest}", range="bytes=-0").status == 416
    # "satisfiable if ... a suffix-range with a non-zero suffix-length" (RFC 9110, section 14.1.2)
    assert registry.ask("GET", f"/v2/a/blobs/{digest}", range="bytes=-5").status == 200
