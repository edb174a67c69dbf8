"""The distribution specification, rule by rule: pushing blobs."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.server.store import uploads as sessions
from tests.server.spec_table import ABSENT, NO_DIGESTS, OTHER_DIGESTS, Rule, Rules

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit, Serve

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
BLOB = b"the content of a blob"
RULES = Rules()


@RULES.row("Push", "a manifest whose subject does not exist MUST be accepted")
def a_missing_subject_is_accepted(registry: Asked, kit: Kit) -> None:
    for digest in (ABSENT, *OTHER_DIGESTS):
        subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 7}
        pushed = registry.push_image("a", "t", subject=subject)
        listed = registry.ask("GET", f"/v2/a/referrers/{digest}").json["manifests"]
        assert [each["digest"] for each in listed] == [pushed]


@RULES.row(
    "Push", "a manifest rejected for a missing part MUST result in MANIFEST_BLOB_UNKNOWN errors"
)
def a_missing_part_is_manifest_blob_unknown(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    absent = [kit.descriptor(b"1"), kit.descriptor(b"2")]
    for content, media_type in (
        (kit.image(layers=absent), OCI_MANIFEST),
        (kit.index(*absent), OCI_INDEX),
    ):
        answer = registry.push_manifest("a", "t", content, media_type)
        assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"] * 2)
        assert [error["detail"] for error in answer.json["errors"]] == [
            digest_of(b"1"),
            digest_of(b"2"),
        ]
    assert registry.ask("GET", "/v2/a/manifests/t").status == 404


@RULES.row("Push", "a part whose digest is of an unrecognized algorithm is missing, not malformed")
def a_part_of_another_algorithm_is_manifest_blob_unknown(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    for digests, code in (
        (OTHER_DIGESTS, "MANIFEST_BLOB_UNKNOWN"),
        (NO_DIGESTS, "MANIFEST_INVALID"),
    ):
        for digest in digests:
            part = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 7}
            for content, media_type in (
                (kit.image(layers=[part]), OCI_MANIFEST),
                (kit.image(config=part), OCI_MANIFEST),
                (kit.index(part), OCI_INDEX),
            ):
                answer = registry.push_manifest("a", "t", content, media_type)
                assert (answer.status, answer.codes) == (400, [code]), digest


@RULES.row("Push", "an image is of blobs; what an index lists may be a blob too")
def a_manifest_is_no_layer(registry: Asked, kit: Kit) -> None:
    registry.push_image("a", "t")
    registry.push_blob("a", BLOB)
    part = kit.descriptor(kit.image())
    for members in ({"layers": [part]}, {"config": part}):
        answer = registry.push_manifest("a", "u", kit.image(**members))
        assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
        assert answer.json["errors"][0]["detail"] == part["digest"]
    assert registry.ask("HEAD", "/v2/a/manifests/u").status == 404
    index = kit.index(part, kit.descriptor(BLOB))
    assert registry.push_manifest("a", "index", index, OCI_INDEX).status == 201


@RULES.row("Pushing blobs", "an invalid digest or unsupported algorithm SHOULD be 400")
def an_invalid_digest_is_400(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    for digest in (*NO_DIGESTS, *OTHER_DIGESTS, "nothing", ""):
        for method, path in (
            ("POST", f"/v2/a/blobs/uploads/?digest={digest}"),
            ("POST", f"/v2/a/blobs/uploads/?mount={digest}"),
            ("PUT", f"{location}?digest={digest}"),
        ):
            answer = registry.ask(method, path, BLOB)
            assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"]), (method, digest)
    for algorithm in ("md5", "blake3"):
        answer = registry.ask("POST", f"/v2/a/blobs/uploads/?digest-algorithm={algorithm}")
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@RULES.row("POST then PUT", "the POST MUST be 202 with a Location that contains a UUID")
def an_upload_starts_with_202(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", "/v2/a/blobs/uploads/")
    assert answer.status == 202
    assert UUID.search(str(answer["Location"]))


@RULES.row("POST then PUT", "the PUT MUST be 201 with the Location of a pullable blob")
def a_put_is_201_with_a_pullable_location(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    answer = registry.ask("PUT", f"{location}?digest={digest_of(BLOB)}", BLOB)
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == BLOB


@RULES.row("Single POST", "Content-Length MUST match the blob's actual length")
def a_wrong_content_length_is_an_error(registry: Asked, kit: Kit) -> None:
    head = f"POST /v2/a/blobs/uploads/?digest={digest_of(BLOB)} HTTP/1.1\r\nHost: x\r\n"
    short = registry.raw(f"{head}Content-Length: {len(BLOB) + 1}\r\n\r\n".encode() + BLOB)
    assert short.startswith(b"HTTP/1.1 400 ")
    assert b"SIZE_INVALID" in short
    long = registry.raw(f"{head}Content-Length: {len(BLOB) - 1}\r\n\r\n".encode() + BLOB)
    assert long.startswith(b"HTTP/1.1 400 ")
    assert b"DIGEST_INVALID" in long
    assert registry.ask("GET", f"/v2/a/blobs/{digest_of(BLOB)}").status == 404


@RULES.row("Single POST", "the digest MUST match the blob's digest")
def a_wrong_digest_is_an_error(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", f"/v2/a/blobs/uploads/?digest={ABSENT}", BLOB)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert registry.ask("GET", f"/v2/a/blobs/{ABSENT}").status == 404


@RULES.row("Single POST", "success MUST be 201 with the Location of a pullable blob")
def a_single_post_is_201_with_a_pullable_location(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", f"/v2/a/blobs/uploads/?digest={digest_of(BLOB)}", BLOB)
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == BLOB


@RULES.row("Pushing a blob in chunks", "the POST SHOULD take digest-algorithm")
def chunks_may_be_hashed_with_sha512(registry: Asked, kit: Kit) -> None:
    digest = digest_of(BLOB, "sha512")
    for query in ("?digest-algorithm=sha512", ""):  # without it, the content is hashed again
        location = registry.start_upload("a", query)
        location = registry.ask("PATCH", location, BLOB).path
        assert registry.ask("PUT", f"{location}?digest={digest}").status == 201


@RULES.row("Pushing a blob in chunks", "a chunk MUST be 202 with Location and Range")
def a_chunk_is_202_with_location_and_range(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    for first, last in ((0, 4), (5, 9)):
        chunk = BLOB[first : last + 1]
        answer = registry.ask("PATCH", location, chunk, content_range=f"{first}-{last}")
        assert (answer.status, answer["Range"]) == (202, f"0-{last}")
        location = answer.path


@RULES.row("Pushing a blob in chunks", "Content-Range MUST match ^[0-9]+-[0-9]+$ and start at 0")
def a_malformed_content_range_is_refused(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    for text in ("1-5", "bytes 0-4/5", "0-", "-4", "4-0", "a-b", "0-4,5-9", "0x0-4"):
        answer = registry.ask("PATCH", location, BLOB[:5], content_range=text)
        assert (answer.status, answer.codes) == (416, ["BLOB_UPLOAD_INVALID"]), text


@RULES.row("Pushing a blob in chunks", "a chunk out of order MUST be 416, and the upload goes on")
def a_chunk_out_of_order_is_416(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5], content_range="0-4")
    for text in ("0-4", "6-10"):
        assert registry.ask("PATCH", location, b"other", content_range=text).status == 416
    registry.ask("PATCH", location, BLOB[5:], content_range=f"5-{len(BLOB) - 1}")
    assert registry.ask("PUT", f"{location}?digest={digest_of(BLOB)}").status == 201


@RULES.row("Pushing a blob in chunks", "the session MUST be closed with a PUT")
def a_chunked_upload_is_no_blob_before_its_put(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB)
    assert registry.ask("GET", f"/v2/a/blobs/{digest_of(BLOB)}").status == 404


@RULES.row("Pushing a blob in chunks", "the closing PUT MUST include the digest of the whole blob")
def a_put_without_the_digest_is_refused(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5])
    answer = registry.ask("PUT", location)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    answer = registry.ask("PUT", f"{location}?digest={digest_of(BLOB[5:])}", BLOB[5:])
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@RULES.row("Pushing a blob in chunks", "closing MUST be 201 with the Location of a pullable blob")
def closing_is_201_with_a_pullable_location(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    location = registry.ask("PATCH", location, BLOB[:5], content_range="0-4").path
    last = f"5-{len(BLOB) - 1}"
    answer = registry.ask(
        "PUT", f"{location}?digest={digest_of(BLOB)}", BLOB[5:], content_range=last
    )
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == BLOB


@RULES.row("Pushing a blob in chunks", "a final chunk out of order MUST be 416")
def a_final_chunk_out_of_order_is_416(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5], content_range="0-4")
    path = f"{location}?digest={digest_of(BLOB)}"
    assert registry.ask("PUT", path, BLOB[6:], content_range="6-20").status == 416
    assert registry.ask("PUT", path, BLOB[5:], content_range="5-20").status == 201


@RULES.row(
    "Pushing a blob in chunks", "GET of an active upload MUST be 204 with Location and Range"
)
def the_status_of_an_upload_is_204(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5])
    answer = registry.ask("GET", location)
    assert (answer.status, answer.path, answer["Range"]) == (204, location, "0-4")


@RULES.row("Cancel a blob upload", "success SHOULD be 204")
def a_cancelled_upload_is_204_and_gone(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB)
    assert registry.ask("DELETE", location).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = registry.ask(method, location)
        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


@RULES.row("Mounting a blob", "a successful mount MUST be 201 with the Location of the blob")
def a_mount_is_201(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    for name, origin in (("b", "&from=a"), ("c", "")):
        answer = registry.ask("POST", f"/v2/{name}/blobs/uploads/?mount={digest}{origin}")
        assert (answer.status, answer["Docker-Content-Digest"]) == (201, digest)
        assert registry.ask("GET", answer.path).body == BLOB


@RULES.row("Mounting a blob", "a mount that cannot be done SHOULD be 202")
def a_mount_of_what_is_missing_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    for query in (f"{ABSENT}&from=a", f"{digest}&from=b", ABSENT, f"{digest}&from=../a"):
        answer = registry.ask("POST", f"/v2/c/blobs/uploads/?mount={query}")
        assert answer.status == 202
    answer = registry.ask("PUT", f"{answer.path}?digest={digest}", BLOB)
    assert answer.status == 201


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_registry_keeps_the_rule(rule: Rule, anywhere: Asked, kit: Kit) -> None:
    rule.check(anywhere, kit)


def test_an_upload_that_nobody_continues_is_forgotten(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel a blob upload: the server SHOULD eventually timeout unfinished uploads."""
    registry = serve(upload_timeout=60.0)
    location = registry.start_upload("a")
    assert registry.ask("PATCH", location, BLOB).status == 202
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 61.0)
    monkeypatch.setattr(sessions, "time", later)
    registry.start_upload("a")
    assert registry.ask("GET", location).status == 404
    assert registry.files() == []
