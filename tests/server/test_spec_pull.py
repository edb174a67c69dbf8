"""The distribution specification, rule by rule: support, pulling, errors."""

from __future__ import annotations

import calendar
import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.server.errors import Code
from tests.server.spec_table import ABSENT, NO_DIGESTS, OTHER_DIGESTS, Rule, Rules

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit

BLOB = b"the content of a blob"
RULES = Rules()


@RULES.row("Determining Support", "GET /v2/ is 200 if the registry implements the specification")
def base_is_200(registry: Asked, kit: Kit) -> None:
    assert registry.ask("GET", "/v2/").status == 200


@RULES.row("Pulling manifests", "<name> MUST match its regular expression")
def names_outside_of_the_grammar_are_refused(registry: Asked, kit: Kit) -> None:
    for name in (
        "UPPER",
        "a//b",
        "-a",
        "a-",
        "a/",
        "a..b",
        "a___b",
        "a%20b",
        "%2e%2e/a",
        "a" * 256,
    ):
        answer = registry.ask("GET", f"/v2/{name}/tags/list")
        assert (answer.status, answer.codes) == (400, ["NAME_INVALID"]), name
    for name in ("a", "a/b/c", "a.b", "a_b", "a__b", "a---b", "0/1"):
        registry.push_image(name)


@RULES.row(
    "Pulling manifests", "a tag MUST match its regular expression, of 128 characters at most"
)
def tags_outside_of_the_grammar_are_refused(registry: Asked, kit: Kit) -> None:
    registry.push_image("a", "_" + "x" * 127)
    for tag in (".a", "-a", "a" * 129, "a%20b", "a+b"):
        answer = registry.push_manifest("a", tag, kit.image())
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"]), tag


@RULES.row("Pulling manifests", "<tag-or-digest> MUST NOT be in any other format")
def references_of_another_form_are_not_found(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    assert registry.ask("GET", "/v2/a/manifests/.NO_TAG").status == 404
    assert registry.ask("GET", "/v2/a/manifests/sha256:short").status in (400, 404)


@RULES.row("Pulling manifests", "the registry SHOULD NOT include parameters on Content-Type")
def content_type_has_no_parameters(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    registry.push_manifest("a", "t", kit.image(), f"{OCI_MANIFEST}; charset=utf-8")
    assert registry.ask("GET", "/v2/a/manifests/t")["Content-Type"] == OCI_MANIFEST


@RULES.row("Pulling manifests", "Content-Type SHOULD match what the client pushed")
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


@RULES.row(
    "Pulling manifests", "GET of an existing manifest MUST be 200 with the expected manifest"
)
def get_of_a_manifest_is_200(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    for reference in ("t", digest):
        answer = registry.ask("GET", f"/v2/a/manifests/{reference}")
        assert (answer.status, answer.body) == (200, kit.image())


@RULES.row("Pulling manifests", "a successful response MUST contain Docker-Content-Digest")
def get_of_a_manifest_tells_the_digest(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    assert registry.ask("GET", "/v2/a/manifests/t")["Docker-Content-Digest"] == digest


@RULES.row("Pulling manifests", "a manifest that is not found MUST be 404")
def get_of_a_missing_manifest_is_404(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    for reference in ("absent", ABSENT):
        answer = registry.ask("GET", f"/v2/a/manifests/{reference}")
        assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])


@RULES.row("Pulling", "a digest of an unrecognized algorithm is a digest: what has it is not found")
def a_digest_of_another_algorithm_is_404(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    for noun, code in (("blobs", "BLOB_UNKNOWN"), ("manifests", "MANIFEST_UNKNOWN")):
        for method in ("GET", "HEAD", "DELETE"):
            for digest in OTHER_DIGESTS:
                answer = registry.ask(method, f"/v2/a/{noun}/{digest}")
                assert answer.status == 404, (method, noun, digest)
                assert method == "HEAD" or answer.codes == [code]
            for digest in NO_DIGESTS:
                answer = registry.ask(method, f"/v2/a/{noun}/{digest}")
                assert answer.status == 400, (method, noun, digest)
                assert method == "HEAD" or answer.codes == ["DIGEST_INVALID"]


@RULES.row("Pulling blobs", "GET of an existing blob MUST be 200 with the expected blob")
def get_of_a_blob_is_200(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}")
    assert (answer.status, answer.body) == (200, BLOB)


@RULES.row("Pulling blobs", "a successful response MUST contain the digest, matching the body")
def get_of_a_blob_tells_the_digest(registry: Asked, kit: Kit) -> None:
    for algorithm in ("sha256", "sha512"):
        digest = registry.push_blob("a", BLOB, algorithm)
        answer = registry.ask("GET", f"/v2/a/blobs/{digest}")
        assert answer["Docker-Content-Digest"] == digest_of(answer.body, algorithm) == digest


@RULES.row("Pulling blobs", "a blob that is not found in the repository MUST be 404")
def get_of_a_missing_blob_is_404(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    registry.push_blob("b", b"another")
    answer = registry.ask("GET", f"/v2/b/blobs/{digest}")
    assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])


@RULES.row("Pulling blobs", "a registry SHOULD support the Range request header")
def a_range_of_a_blob_is_206(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    answer = registry.ask("GET", f"/v2/a/blobs/{digest}", range="bytes=4-10")
    assert (answer.status, answer.body) == (206, BLOB[4:11])
    assert answer["Content-Range"] == f"bytes 4-10/{len(BLOB)}"


@RULES.row("Checking if content exists", "HEAD of an existing blob or manifest MUST be 200")
def head_is_200(registry: Asked, kit: Kit) -> None:
    manifest, blob = registry.push_image("a", "t"), registry.push_blob("a", BLOB)
    for path in ("manifests/t", f"manifests/{manifest}", f"blobs/{blob}"):
        answer = registry.ask("HEAD", f"/v2/a/{path}")
        assert (answer.status, answer.body) == (200, b"")


@RULES.row("Checking if content exists", "a successful response MUST contain Docker-Content-Digest")
def head_tells_the_digest(registry: Asked, kit: Kit) -> None:
    manifest, blob = registry.push_image("a", "t"), registry.push_blob("a", BLOB)
    assert registry.ask("HEAD", "/v2/a/manifests/t")["Docker-Content-Digest"] == manifest
    assert registry.ask("HEAD", f"/v2/a/blobs/{blob}")["Docker-Content-Digest"] == blob


@RULES.row("Checking if content exists", "a successful response MUST contain the size")
def head_tells_the_size(registry: Asked, kit: Kit) -> None:
    registry.push_image("a", "t")
    blob = registry.push_blob("a", BLOB)
    assert registry.ask("HEAD", "/v2/a/manifests/t")["Content-Length"] == str(len(kit.image()))
    assert registry.ask("HEAD", f"/v2/a/blobs/{blob}")["Content-Length"] == str(len(BLOB))


@RULES.row("Checking if content exists", "what is not found in the repository MUST be 404")
def head_of_what_is_missing_is_404(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    for path in ("manifests/absent", f"manifests/{ABSENT}", f"blobs/{ABSENT}"):
        answer = registry.ask("HEAD", f"/v2/a/{path}")
        assert (answer.status, answer.body) == (404, b"")


@RULES.row("API", "HTTP semantics SHOULD be RFC 9110's: Date, Allow, HEAD wherever GET is")
def http_is_spoken_properly(registry: Asked, kit: Kit) -> None:
    answer = registry.ask("POST", "/v2/")
    assert (answer.status, answer["Allow"], answer.codes) == (405, "GET, HEAD", ["UNSUPPORTED"])
    answer = registry.ask("HEAD", "/v2/")
    assert (answer.status, answer.body, answer["Content-Length"]) == (200, b"", "2")
    date = time.strptime(str(answer["Date"]), "%a, %d %b %Y %H:%M:%S GMT")
    assert abs(calendar.timegm(date) - time.time()) < 60


@RULES.row(
    "Legacy Docker support HTTP headers", "old clients look for Docker-Distribution-API-Version"
)
def every_answer_tells_dockers_version(registry: Asked, kit: Kit) -> None:
    for method, path, status in (
        ("GET", "/v2/", 200),
        ("GET", "/v2/a/tags/list", 404),
        ("PUT", "/v2/", 405),
        ("G=T", "/v2/", 400),
    ):
        answer = registry.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert answer.count(b"\r\nDocker-Distribution-Api-Version: registry/2.0\r\n") == 1


@RULES.row(
    "Error Codes", "a JSON error body MUST have errors with code, and may have message and detail"
)
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


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_registry_keeps_the_rule(rule: Rule, anywhere: Asked, kit: Kit) -> None:
    rule.check(anywhere, kit)


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
