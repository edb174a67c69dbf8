"""The distribution specification, rule by rule: one row per MUST and SHOULD for a registry.

`section` is the specification's heading, `says` its sentence in short. What it asks of clients only
is not here, nor what a registry that does something else would owe (deletion disabled, a minimal
chunk length, redirects, proxying, warnings).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.media_types import DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.server.errors import Code

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit, Serve

Check = Callable[["Asked", "Kit"], None]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ABSENT = "sha256:" + "0" * 64
BLOB = b"the content of a blob"


@dataclass(frozen=True)
class Rule:
    section: str
    says: str
    check: Check

    def __str__(self) -> str:
        return self.check.__name__


RULES: list[Rule] = []


def rule(section: str, says: str) -> Callable[[Check], Check]:
    def collect(check: Check) -> Check:
        RULES.append(Rule(section, says, check))
        return check

    return collect


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_registry_keeps_the_rule(rule: Rule, anywhere: Asked, kit: Kit) -> None:
    rule.check(anywhere, kit)


# Requirements -----------------------------------------------------------------------------------


@rule("Determining Support", "GET /v2/ is 200 if the registry implements the specification")
def base_is_200(registry: Asked, kit: Kit) -> None:
    assert registry.ask("GET", "/v2/").status == 200


@rule("Pulling manifests", "<name> MUST match its regular expression")
def names_outside_of_the_grammar_are_refused(registry: Asked, kit: Kit) -> None:
    for name in ("UPPER", "a//b", "-a", "a-", "a/", "a..b", "a___b", "a%20b", "%2e%2e/a", "a" * 256):
        answer = registry.ask("GET", f"/v2/{name}/tags/list")
        assert (answer.status, answer.codes) == (400, ["NAME_INVALID"]), name
    for name in ("a", "a/b/c", "a.b", "a_b", "a__b", "a---b", "0/1"):
        registry.push_image(name)


@rule("Pulling manifests", "a tag MUST match its regular expression, of 128 characters at most")
def tags_outside_of_the_grammar_are_refused(registry: Asked, kit: Kit) -> None:
    registry.push_image("a", "_" + "x" * 127)
    for tag in (".a", "-a", "a" * 129, "a%20b", "a+b"):
        answer = registry.push_manifest("a", tag, kit.image())
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"]), tag


@rule("Pulling manifests", "<tag-or-digest> MUST NOT be in any other format")
def references_of_another_form_are_not_found(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    assert registry.ask("GET", "/v2/a/manifests/.NO_TAG").status == 404
    assert registry.ask("GET", "/v2/a/manifests/sha256:short").status in (400, 404)


@rule("Pulling manifests", "the registry SHOULD NOT include parameters on Content-Type")
def content_type_has_no_parameters(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    registry.push_manifest("a", "t", kit.image(), f"{OCI_MANIFEST}; charset=utf-8")
    assert registry.ask("GET", "/v2/a/manifests/t")["Content-Type"] == OCI_MANIFEST


@rule("Pulling manifests", "Content-Type SHOULD match what the client pushed")
def content_type_is_what_was_pushed(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    custom = "application/vnd.example.manifest.v1+json"
    for tag, media_type, content in (
        ("docker", DOCKER_MANIFEST, kit.image(mediaType=DOCKER_MANIFEST)),
        ("index", OCI_INDEX, kit.index()),
        ("unknown", custom, json.dumps({"mediaType": custom}).encode()),
    ):
        assert registry.push_manifest("a", tag, content, media_type).status == 201
        assert registry.ask("GET", f"/v2/a/manifests/{tag}")["Content-Type"] == media_type


@rule("Pulling manifests", "GET of an existing manifest MUST be 200 with the expected manifest")
def get_of_a_manifest_is_200(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    for reference in ("t", digest):
        answer = registry.ask("GET", f"/v2/a/manifests/{reference}")
        assert (answer.status, answer.body) == (200, kit.image())


@rule("Pulling manifests", "a successful response MUST contain Docker-Content-Digest")
def get_of_a_manifest_tells_the_digest(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    assert registry.ask("GET", "/v2/a/manifests/t")["Docker-Content-Digest"] == digest


@rule("Pulling manifests", "a manifest that is not found MUST be 404")
def get_of_a_missing_manifest_is_404(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    for reference in ("absent", ABSENT):
        answer = registry.ask("GET", f"/v2/a/manifests/{reference}")
        assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])


@rule("Pulling blobs", "GET of an existing blob MUST be 200 with the expected blob")
def get_of_a_blob_is_200(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}")
    assert (answer.status, answer.body) == (200, BLOB)


@rule("Pulling blobs", "a successful response MUST contain the digest, matching the body")
def get_of_a_blob_tells_the_digest(registry: Asked, kit: Kit) -> None:
    for algorithm in ("sha256", "sha512"):
        digest = registry.push_blob("a", BLOB, algorithm)
        answer = registry.ask("GET", f"/v2/a/blobs/{digest}")
        assert answer["Docker-Content-Digest"] == digest_of(answer.body, algorithm) == digest


@rule("Pulling blobs", "a blob that is not found in the repository MUST be 404")
def get_of_a_missing_blob_is_404(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    registry.push_blob("b", b"another")
    answer = registry.ask("GET", f"/v2/b/blobs/{digest}")
    assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])


@rule("Pulling blobs", "a registry SHOULD support the Range request header")
def a_range_of_a_blob_is_206(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}", range="bytes=4-10")
    assert (answer.status, answer.body) == (206, BLOB[4:11])
    assert answer["Content-Range"] == f"bytes 4-10/{len(BLOB)}"


@rule("Checking if content exists", "HEAD of an existing blob or manifest MUST be 200")
def head_is_200(registry: Asked, kit: Kit) -> None:
    manifest, blob = registry.push_image("a", "t"), registry.push_blob("a", BLOB)
    for path in ("manifests/t", f"manifests/{manifest}", f"blobs/{blob}"):
        answer = registry.ask("HEAD", f"/v2/a/{path}")
        assert (answer.status, answer.body) == (200, b"")


@rule("Checking if content exists", "a successful response MUST contain Docker-Content-Digest")
def head_tells_the_digest(registry: Asked, kit: Kit) -> None:
    manifest, blob = registry.push_image("a", "t"), registry.push_blob("a", BLOB)
    assert registry.ask("HEAD", "/v2/a/manifests/t")["Docker-Content-Digest"] == manifest
    assert registry.ask("HEAD", f"/v2/a/blobs/{blob}")["Docker-Content-Digest"] == blob


@rule("Checking if content exists", "a successful response MUST contain the size")
def head_tells_the_size(registry: Asked, kit: Kit) -> None:
    registry.push_image("a", "t")
    blob = registry.push_blob("a", BLOB)
    assert registry.ask("HEAD", "/v2/a/manifests/t")["Content-Length"] == str(len(kit.image()))
    assert registry.ask("HEAD", f"/v2/a/blobs/{blob}")["Content-Length"] == str(len(BLOB))


@rule("Checking if content exists", "what is not found in the repository MUST be 404")
def head_of_what_is_missing_is_404(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    for path in ("manifests/absent", f"manifests/{ABSENT}", f"blobs/{ABSENT}"):
        answer = registry.ask("HEAD", f"/v2/a/{path}")
        assert (answer.status, answer.body) == (404, b"")


# Push -------------------------------------------------------------------------------------------


@rule("Push", "a manifest whose subject does not exist MUST be accepted")
def a_missing_subject_is_accepted(registry: Asked, kit: Kit) -> None:
    subject = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    registry.push_image("a", "t", subject=subject)


@rule("Push", "a manifest rejected for a missing part MUST result in MANIFEST_BLOB_UNKNOWN errors")
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


@rule("Pushing blobs", "an invalid digest or unsupported algorithm SHOULD be 400")
def an_invalid_digest_is_400(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    for digest in ("sha256:short", "md5:" + "0" * 32, "nothing", "sha256:" + "G" * 64, ""):
        for method, path in (
            ("POST", f"/v2/a/blobs/uploads/?digest={digest}"),
            ("PUT", f"{location}?digest={digest}"),
            ("GET", f"/v2/a/blobs/{digest or '-'}"),
        ):
            answer = registry.ask(method, path, BLOB if method != "GET" else None)
            assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"]), (method, digest)
    answer = registry.ask("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@rule("POST then PUT", "the POST MUST be 202 with a Location that contains a UUID")
def an_upload_starts_with_202(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", "/v2/a/blobs/uploads/")
    assert answer.status == 202
    assert UUID.search(str(answer["Location"]))


@rule("POST then PUT", "the PUT MUST be 201 with the Location of a pullable blob")
def a_put_is_201_with_a_pullable_location(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    answer = registry.ask("PUT", f"{location}?digest={digest_of(BLOB)}", BLOB)
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == BLOB


@rule("Single POST", "Content-Length MUST match the blob's actual length")
def a_wrong_content_length_is_an_error(registry: Asked, kit: Kit) -> None:
    head = f"POST /v2/a/blobs/uploads/?digest={digest_of(BLOB)} HTTP/1.1\r\nHost: x\r\n"
    short = registry.raw(f"{head}Content-Length: {len(BLOB) + 1}\r\n\r\n".encode() + BLOB)
    assert short.startswith(b"HTTP/1.1 400 ")
    assert b"SIZE_INVALID" in short
    long = registry.raw(f"{head}Content-Length: {len(BLOB) - 1}\r\n\r\n".encode() + BLOB)
    assert long.startswith(b"HTTP/1.1 400 ")
    assert b"DIGEST_INVALID" in long
    assert registry.ask("GET", f"/v2/a/blobs/{digest_of(BLOB)}").status == 404


@rule("Single POST", "the digest MUST match the blob's digest")
def a_wrong_digest_is_an_error(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", f"/v2/a/blobs/uploads/?digest={ABSENT}", BLOB)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert registry.ask("GET", f"/v2/a/blobs/{ABSENT}").status == 404


@rule("Single POST", "success MUST be 201 with the Location of a pullable blob")
def a_single_post_is_201_with_a_pullable_location(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", f"/v2/a/blobs/uploads/?digest={digest_of(BLOB)}", BLOB)
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == BLOB


@rule("Pushing a blob in chunks", "the POST SHOULD take digest-algorithm")
def chunks_may_be_hashed_with_sha512(registry: Asked, kit: Kit) -> None:
    digest = digest_of(BLOB, "sha512")
    for query in ("?digest-algorithm=sha512", ""):  # without it, the content is hashed again
        location = registry.start_upload("a", query)
        location = registry.ask("PATCH", location, BLOB).path
        assert registry.ask("PUT", f"{location}?digest={digest}").status == 201


@rule("Pushing a blob in chunks", "a chunk MUST be 202 with Location and Range")
def a_chunk_is_202_with_location_and_range(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    for first, last in ((0, 4), (5, 9)):
        chunk = BLOB[first : last + 1]
        answer = registry.ask("PATCH", location, chunk, content_range=f"{first}-{last}")
        assert (answer.status, answer["Range"]) == (202, f"0-{last}")
        location = answer.path


@rule("Pushing a blob in chunks", "Content-Range MUST match ^[0-9]+-[0-9]+$ and start at 0")
def a_malformed_content_range_is_refused(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    for text in ("1-5", "bytes 0-4/5", "0-", "-4", "4-0", "a-b", "0-4,5-9", "0x0-4"):
        answer = registry.ask("PATCH", location, BLOB[:5], content_range=text)
        assert (answer.status, answer.codes) == (416, ["BLOB_UPLOAD_INVALID"]), text


@rule("Pushing a blob in chunks", "a chunk out of order MUST be 416, and the upload goes on")
def a_chunk_out_of_order_is_416(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5], content_range="0-4")
    for text in ("0-4", "6-10"):
        assert registry.ask("PATCH", location, b"other", content_range=text).status == 416
    registry.ask("PATCH", location, BLOB[5:], content_range=f"5-{len(BLOB) - 1}")
    assert registry.ask("PUT", f"{location}?digest={digest_of(BLOB)}").status == 201


@rule("Pushing a blob in chunks", "the session MUST be closed with a PUT")
def a_chunked_upload_is_no_blob_before_its_put(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB)
    assert registry.ask("GET", f"/v2/a/blobs/{digest_of(BLOB)}").status == 404


@rule("Pushing a blob in chunks", "the closing PUT MUST include the digest of the whole blob")
def a_put_without_the_digest_is_refused(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5])
    answer = registry.ask("PUT", location)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    answer = registry.ask("PUT", f"{location}?digest={digest_of(BLOB[5:])}", BLOB[5:])
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@rule("Pushing a blob in chunks", "closing MUST be 201 with the Location of a pullable blob")
def closing_is_201_with_a_pullable_location(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    location = registry.ask("PATCH", location, BLOB[:5], content_range="0-4").path
    last = f"5-{len(BLOB) - 1}"
    answer = registry.ask(
        "PUT", f"{location}?digest={digest_of(BLOB)}", BLOB[5:], content_range=last
    )
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == BLOB


@rule("Pushing a blob in chunks", "a final chunk out of order MUST be 416")
def a_final_chunk_out_of_order_is_416(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5], content_range="0-4")
    path = f"{location}?digest={digest_of(BLOB)}"
    assert registry.ask("PUT", path, BLOB[6:], content_range="6-20").status == 416
    assert registry.ask("PUT", path, BLOB[5:], content_range="5-20").status == 201


@rule("Pushing a blob in chunks", "GET of an active upload MUST be 204 with Location and Range")
def the_status_of_an_upload_is_204(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB[:5])
    answer = registry.ask("GET", location)
    assert (answer.status, answer.path, answer["Range"]) == (204, location, "0-4")


@rule("Cancel a blob upload", "success SHOULD be 204")
def a_cancelled_upload_is_204_and_gone(registry: Asked, kit: Kit) -> None:
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB)
    assert registry.ask("DELETE", location).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = registry.ask(method, location)
        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


@rule("Mounting a blob", "a successful mount MUST be 201 with the Location of the blob")
def a_mount_is_201(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    for name, origin in (("b", "&from=a"), ("c", "")):
        answer = registry.ask("POST", f"/v2/{name}/blobs/uploads/?mount={digest}{origin}")
        assert (answer.status, answer["Docker-Content-Digest"]) == (201, digest)
        assert registry.ask("GET", answer.path).body == BLOB


@rule("Mounting a blob", "a mount that cannot be done SHOULD be 202")
def a_mount_of_what_is_missing_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    for query in (f"{ABSENT}&from=a", f"{digest}&from=b", ABSENT, f"{digest}&from=../a"):
        answer = registry.ask("POST", f"/v2/c/blobs/uploads/?mount={query}")
        assert answer.status == 202
    answer = registry.ask("PUT", f"{answer.path}?digest={digest}", BLOB)
    assert answer.status == 201


# Pushing manifests ------------------------------------------------------------------------------


@rule("Pushing Manifests", "the registry SHOULD ignore parameters on Content-Type")
def parameters_of_the_content_type_are_ignored(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    media_type = f"{OCI_MANIFEST}; charset=utf-8"
    assert registry.push_manifest("a", "t", kit.image(), media_type).status == 201


@rule("Pushing Manifests", "mediaType and Content-Type MUST agree")
def a_manifest_of_another_type_is_refused(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    answer = registry.push_manifest("a", "t", kit.image(), OCI_INDEX)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


@rule("Pushing Manifests", "the list of blobs MAY be empty")
def a_manifest_without_layers_is_accepted(registry: Asked, kit: Kit) -> None:
    registry.push_image("a", "t", layers=[])


@rule("Pushing Manifests", "the manifest MUST be stored in its exact byte representation")
def a_manifest_is_kept_to_the_byte(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    content = b" \n" + kit.image(**{"unknown": [1.0, "\u00e9"], "x-y": None}) + b"\t\r\n "
    registry.push_manifest("a", "t", content)
    assert registry.ask("GET", "/v2/a/manifests/t").body == content


@rule("Pushing Manifests", "success MUST be 201 with the Location of a pullable manifest")
def a_pushed_manifest_is_201(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    answer = registry.push_manifest("a", "t", kit.image())
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == kit.image()


@rule("Pushing Manifests", "Docker-Content-Digest MUST equal the digest that the client gave")
def a_pushed_manifest_has_the_digest_that_was_given(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    for algorithm in ("sha256", "sha512"):
        digest = digest_of(kit.image(), algorithm)
        answer = registry.push_manifest("a", digest, kit.image())
        assert (answer.status, answer["Docker-Content-Digest"]) == (201, digest)
    answer = registry.push_manifest("a", ABSENT, kit.image())
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@rule("Pushing Manifests", "tags in the query SHOULD be taken, 10 at least, and be in OCI-Tag")
def tags_in_the_query_are_set(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    tags = [f"t{number:02}" for number in range(30)]
    for algorithm in ("sha256", "sha512"):
        digest = digest_of(kit.image(), algorithm)
        query = "&".join(f"tag={tag}" for tag in tags)
        answer = registry.push_manifest("a", f"{digest}?{query}", kit.image())
        assert answer.status == 201
        assert str(answer["OCI-Tag"]).split(", ") == tags
        assert registry.ask("HEAD", "/v2/a/manifests/t07")["Docker-Content-Digest"] == digest


@rule("Pushing Manifests", "pulling from a nonexistent repository MUST be 404")
def a_nonexistent_repository_is_404(registry: Asked, kit: Kit) -> None:
    for path in ("manifests/t", f"manifests/{ABSENT}", f"blobs/{ABSENT}", "tags/list"):
        answer = registry.ask("GET", f"/v2/absent/{path}")
        assert (answer.status, answer.codes) == (404, ["NAME_UNKNOWN"])


@rule("Pushing Manifests", "over its limit, which SHOULD be 4 MB at least, a push SHOULD be 413")
def a_manifest_over_4_mib_is_413(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    limit = 4 * 1024 * 1024
    room = limit - len(kit.image(annotations={"a": ""}))
    for more, status in ((0, 201), (1, 413)):
        content = kit.image(annotations={"a": "x" * (room + more)})
        chunked = iter([content[:1000], content[1000:]])
        for body in (content, chunked):
            answer = registry.ask("PUT", "/v2/a/manifests/t", body, content_type=OCI_MANIFEST)
            assert answer.status == status
    assert answer.codes == ["MANIFEST_INVALID"]


@rule("Pushing Manifests with Subject", "the response MUST have OCI-Subject")
def a_pushed_subject_is_confirmed(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    subject = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    answer = registry.push_manifest("a", "image", kit.image(subject=subject))
    assert answer["OCI-Subject"] == ABSENT
    answer = registry.push_manifest("a", "index", kit.index(subject=subject), OCI_INDEX)
    assert answer["OCI-Subject"] == ABSENT
    assert registry.push_manifest("a", "t", kit.image())["OCI-Subject"] is None


# Content discovery ------------------------------------------------------------------------------


@rule("Listing Tags", "of a known repository the list MUST be 200, and may be empty")
def tags_of_a_known_repository_are_200(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", BLOB)
    answer = registry.ask("GET", "/v2/a/tags/list")
    assert (answer.status, answer.json) == (200, {"name": "a", "tags": []})


@rule("Listing Tags", "the tags MUST be sorted, in the JSON form of the specification")
def tags_are_sorted(registry: Asked, kit: Kit) -> None:
    for tag in ("b", "B", "a", "10", "9", "_"):
        registry.push_image("a/b", tag)
    answer = registry.ask("GET", "/v2/a/b/tags/list")
    assert answer.json == {"name": "a/b", "tags": ["10", "9", "B", "_", "a", "b"]}


@rule("Listing Tags", "with n the response MUST include n results; Link MUST be rel=next")
def tags_come_in_pages(registry: Asked, kit: Kit) -> None:
    for tag in "abcde":
        registry.push_image("x", tag)
    answer = registry.ask("GET", "/v2/x/tags/list?n=2")
    pages = [answer.json["tags"]]
    while link := answer["Link"]:
        match = re.fullmatch(r'<http://[^/]+(/[^>]+)>; rel="next"', link)
        assert match is not None
        answer = registry.ask("GET", match[1])
        pages.append(answer.json["tags"])
    assert pages == [["a", "b"], ["c", "d"], ["e"]]
    for n in (5, 6, 10**40):
        answer = registry.ask("GET", f"/v2/x/tags/list?n={n}")
        assert (answer.json["tags"], answer["Link"]) == (list("abcde"), None)


@rule("Listing Tags", "when n is zero the list MUST be empty, and Link MUST NOT be there")
def zero_tags_are_an_empty_list(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    answer = registry.ask("GET", "/v2/a/tags/list?n=0")
    assert (answer.status, answer.json["tags"], answer["Link"]) == (200, [], None)


@rule("Listing Tags", "last is a tag, which is not in the result; n is then optional")
def tags_after_the_last_one_are_listed(registry: Asked, kit: Kit) -> None:
    for tag in "abcd":
        registry.push_image("x", tag)
    for query, tags in (("last=b", "cd"), ("n=1&last=b", "c"), ("last=bb", "cd"), ("last=d", "")):
        assert registry.ask("GET", f"/v2/x/tags/list?{query}").json["tags"] == list(tags)


@rule("Listing Referrers", "the response MUST be 200 with an index, and MUST NOT be 404")
def referrers_are_never_404(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    for name in ("a", "absent"):
        answer = registry.ask("GET", f"/v2/{name}/referrers/{ABSENT}")
        assert (answer.status, answer["Content-Type"]) == (200, OCI_INDEX)
        assert answer.json == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


@rule("Listing Referrers", "an invalid digest MUST be 400")
def referrers_of_an_invalid_digest_are_400(registry: Asked, kit: Kit) -> None:
    for digest in ("sha256:short", "tag", "sha256:" + "g" * 64):
        answer = registry.ask("GET", f"/v2/a/referrers/{digest}")
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@rule("Listing Referrers", "descriptors MUST have artifactType, the config's for want of its own")
def referrers_tell_their_artifact_type(registry: Asked, kit: Kit) -> None:
    for subject in (ABSENT, "sha512:" + "0" * 128):
        link = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 7}
        own = registry.push_image("a", "own", subject=link, artifactType="application/x.own")
        config = registry.push_image("a", "config", subject=link)
        for member in ({"artifactType": "application/x.index"}, {}):
            content = kit.index(subject=link, **member)
            assert registry.push_manifest("a", "index", content, OCI_INDEX).status == 201
        answer = registry.ask("GET", f"/v2/a/referrers/{subject}")
        types = {each["digest"]: each.get("artifactType") for each in answer.json["manifests"]}
        assert types == {
            own: "application/x.own",
            config: OCI_EMPTY,
            digest_of(kit.index(subject=link, artifactType="application/x.index")): (
                "application/x.index"
            ),
            digest_of(kit.index(subject=link)): None,
        }


@rule("Listing Referrers", "descriptors MUST include the annotations")
def referrers_tell_their_annotations(registry: Asked, kit: Kit) -> None:
    link = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    digest = registry.push_image("a", "t", subject=link, annotations={"key": "v\u00e4lue"})
    (only,) = registry.ask("GET", f"/v2/a/referrers/{ABSENT}").json["manifests"]
    assert only["annotations"] == {"key": "v\u00e4lue"}
    assert (only["digest"], only["mediaType"]) == (digest, OCI_MANIFEST)
    assert only["size"] == len(registry.ask("GET", f"/v2/a/manifests/{digest}").body)


@rule("Listing Referrers", "a list too long for one manifest MUST have a Link with rel=next")
def many_referrers_come_in_pages(registry: Asked, kit: Kit) -> None:
    link = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    pushed = {
        registry.push_image(
            "a", f"t{number}", subject=link, annotations={"big": str(number) + "x" * 1_500_000}
        )
        for number in range(4)
    }
    path, found, pages = f"/v2/a/referrers/{ABSENT}?artifactType={OCI_EMPTY}", [], 0
    while path:
        answer = registry.ask("GET", path)
        assert len(answer.body) <= 4 * 1024 * 1024
        found += [each["digest"] for each in answer.json["manifests"]]
        pages += 1
        match = re.fullmatch(r'<http://[^/]+(/[^>]+)>; rel="next"', answer["Link"] or "")
        path = match[1] if match else ""
    assert (sorted(found), pages) == (sorted(pushed), 2)


@rule("Listing Referrers", "filtering SHOULD be supported, and MUST be told by OCI-Filters-Applied")
def referrers_are_filtered_by_artifact_type(registry: Asked, kit: Kit) -> None:
    link = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    wanted = registry.push_image("a", "1", subject=link, artifactType="application/x.a+json")
    registry.push_image("a", "2", subject=link, artifactType="application/x.b")
    answer = registry.ask("GET", f"/v2/a/referrers/{ABSENT}?artifactType=application/x.a%2Bjson")
    assert [each["digest"] for each in answer.json["manifests"]] == [wanted]
    assert answer["OCI-Filters-Applied"] == "artifactType"
    assert registry.ask("GET", f"/v2/a/referrers/{ABSENT}")["OCI-Filters-Applied"] is None


@rule("Enabling the Referrers API", "newly pushed manifests with a subject MUST be listed, then not")
def referrers_follow_pushes_and_deletions(registry: Asked, kit: Kit) -> None:
    subject = registry.push_image("a", "subject")
    link = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 7}
    digest = registry.push_image("a", "t", subject=link)
    path = f"/v2/a/referrers/{subject}"
    assert [each["digest"] for each in registry.ask("GET", path).json["manifests"]] == [digest]
    registry.ask("DELETE", f"/v2/a/manifests/{digest}")
    assert registry.ask("GET", path).json["manifests"] == []


# Content management -----------------------------------------------------------------------------


@rule("Deleting tags", "success MUST be 202; the tag is then 404, the manifest stays")
def a_deleted_tag_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    registry.push_image("a", "u")
    assert registry.ask("DELETE", "/v2/a/manifests/t").status == 202
    assert registry.ask("GET", "/v2/a/manifests/t").status == 404
    assert registry.ask("GET", "/v2/a/manifests/u").status == 200
    assert registry.ask("GET", f"/v2/a/manifests/{digest}").status == 200
    assert registry.ask("DELETE", "/v2/a/manifests/t").status == 404


@rule("Deleting Manifests", "success MUST be 202; the digest and its tags are then 404")
def a_deleted_manifest_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    assert registry.ask("DELETE", f"/v2/a/manifests/{digest}").status == 202
    for reference in ("t", digest):
        assert registry.ask("GET", f"/v2/a/manifests/{reference}").status == 404
    assert registry.ask("GET", "/v2/a/tags/list").json["tags"] == []


@rule("Deleting Manifests", "in a repository that does not exist it MUST be 404")
def deleting_from_a_nonexistent_repository_is_404(registry: Asked, kit: Kit) -> None:
    for reference in ("t", ABSENT):
        assert registry.ask("DELETE", f"/v2/absent/manifests/{reference}").status == 404


@rule("Deleting Blobs", "success MUST be 202, a blob that is not found 404")
def a_deleted_blob_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    registry.push_blob("b", BLOB)
    assert registry.ask("DELETE", f"/v2/a/blobs/{digest}").status == 202
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").status == 404
    assert registry.ask("DELETE", f"/v2/a/blobs/{digest}").status == 404
    assert registry.ask("GET", f"/v2/b/blobs/{digest}").body == BLOB


# API --------------------------------------------------------------------------------------------


@rule("API", "HTTP semantics SHOULD be RFC 9110's: Date, Allow, HEAD wherever GET is")
def http_is_spoken_properly(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", "/v2/")
    assert (answer.status, answer["Allow"], answer.codes) == (405, "GET", ["UNSUPPORTED"])
    answer = registry.ask("HEAD", "/v2/")
    assert (answer.status, answer.body, answer["Content-Length"]) == (200, b"", "2")
    date = time.strptime(str(answer["Date"]), "%a, %d %b %Y %H:%M:%S GMT")
    assert abs(time.mktime(date) - time.mktime(time.gmtime())) < 60


@rule("Error Codes", "a JSON error body MUST have errors with code, and may have message and detail")
def errors_have_the_specified_form(registry: Asked, kit: Kit) -> None:
    for method, path in (
        ("GET", "/v2/a/tags/list"),
        ("GET", "/nowhere"),
        ("GET", "/v2/A/tags/list"),
        ("PUT", "/v2/"),
        ("GET", "/v2/a/blobs/x"),
        ("GET", "/v2/_catalog?n=x"),
    ):
        answer = registry.ask(method, path)
        assert answer["Content-Type"] == "application/json"
        for error in answer.json["errors"]:
            assert re.fullmatch("[A-Z_]+", error["code"])
            assert error["code"] in Code.__members__
            assert isinstance(error["message"], str)


def test_the_table_of_codes_is_the_specifications() -> None:
    assert list(Code.__members__) == [
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    ]
    assert all(400 <= code.status < 500 and code.message for code in Code)


def test_an_upload_that_nobody_continues_is_forgotten(serve: Serve) -> None:
    """Cancel a blob upload: the server SHOULD eventually timeout unfinished uploads."""
    registry = serve(upload_timeout=0.0)
    location = registry.start_upload("a")
    registry.ask("PATCH", location, BLOB)
    registry.start_upload("a")
    assert registry.ask("GET", location).status == 404
    assert registry.files() == []
