"""The distribution specification, rule by rule: pushing manifests, and deleting what was pushed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from tests.server.spec_table import ABSENT, NO_DIGESTS, OTHER_DIGESTS, Rule, Rules

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit

BLOB = b"the content of a blob"
RULES = Rules()


@RULES.row("Pushing Manifests", "the registry SHOULD ignore parameters on Content-Type")
def parameters_of_the_content_type_are_ignored(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    media_type = f"{OCI_MANIFEST}; charset=utf-8"
    assert registry.push_manifest("a", "t", kit.image(), media_type).status == 201


@RULES.row("Pushing Manifests", "mediaType and Content-Type MUST agree")
def a_manifest_of_another_type_is_refused(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    answer = registry.push_manifest("a", "t", kit.image(), OCI_INDEX)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


@RULES.row("Pushing Manifests", "media types have no case (RFC 6838, section 4.2)")
def a_media_type_in_other_capitals_is_the_same(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    subject = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    odd = "application/vnd.OCI.image.manifest.v1+JSON"
    for declared, sent in ((None, odd), (OCI_MANIFEST, odd), (odd, odd), (odd, OCI_MANIFEST)):
        missing = kit.image(mediaType=declared, layers=[kit.descriptor(BLOB)])
        answer = registry.push_manifest("a", "t", missing, sent)
        assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
        content = kit.image(mediaType=declared, subject=subject)
        answer = registry.push_manifest("a", "t", content, sent)
        assert (answer.status, answer["OCI-Subject"]) == (201, ABSENT)
        answer = registry.ask("GET", "/v2/a/manifests/t")
        assert (answer.body, answer["Content-Type"]) == (content, sent)
    kind = "application/vnd.OCI.image.layer.NonDistributable.v1.tar"
    elsewhere = kit.image(layers=[kit.descriptor(BLOB, kind, urls=["https://store.example/x"])])
    assert registry.push_manifest("a", "t", elsewhere).status == 201


@RULES.row("Push", "only what the manifest says is to be had elsewhere need not be there")
def a_layer_that_is_nowhere_is_missing(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    undistributed, urls = "layer.nondistributable.v1.tar", ["https://store.example/x"]
    for part in (
        kit.descriptor(BLOB, f"application/vnd.oci.image.{undistributed}"),
        kit.descriptor(BLOB, "application/vnd.oci.image.layer.v1.tar", urls=urls),
        kit.descriptor(BLOB, "application/vnd.foreigner.tar", urls=urls),
    ):
        answer = registry.push_manifest("a", "t", kit.image(layers=[part]))
        assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])


@RULES.row("Pushing Manifests", "what could be read as an image and as an index is neither")
def what_is_image_and_index_is_refused(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    child = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    both = json.dumps({**json.loads(kit.image(mediaType=None)), "manifests": [child]}).encode()
    for media_type in (OCI_MANIFEST, OCI_INDEX):
        answer = registry.push_manifest("a", "t", both, media_type)
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
        assert "image and index at once" in str(answer.json)


@RULES.row("Pushing Manifests", "annotations that Go leaves null are empty")
def an_annotation_of_null_is_empty(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    subject = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    content = kit.image(subject=subject, annotations={"org.example": None})
    assert registry.push_manifest("a", "t", content).status == 201
    [listed] = registry.ask("GET", f"/v2/a/referrers/{ABSENT}").json["manifests"]
    assert listed["annotations"] == {"org.example": ""}


@RULES.row("Pushing Manifests", "a manifest is JSON, which is UTF-8 (RFC 8259, section 8.1)")
def a_manifest_in_another_encoding_is_refused(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    text = kit.image().decode()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"):
        answer = registry.push_manifest("a", "t", text.encode(encoding))
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"]), encoding
    for inside in ("\xe9".encode("latin-1"), "\ud800".encode("utf-8", "surrogatepass")):
        content = kit.image(annotations={"a": "?"}).replace(b"?", inside)
        answer = registry.push_manifest("a", "t", content)
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert registry.ask("HEAD", "/v2/a/manifests/t").status == 404


@RULES.row("Pushing Manifests", "a manifest is JSON, which has has no NaN (RFC 8259, section 6)")
def a_manifest_that_is_nearly_json_is_refused(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    for constant in (float("nan"), float("inf"), -float("inf")):
        answer = registry.push_manifest("a", "t", kit.image(x=constant))
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


@RULES.row("Pushing Manifests", "the list of blobs MAY be empty")
def a_manifest_without_layers_is_accepted(registry: Asked, kit: Kit) -> None:
    registry.push_image("a", "t", layers=[])


@RULES.row("Pushing Manifests", "the manifest MUST be stored in its exact byte representation")
def a_manifest_is_kept_to_the_byte(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    content = b" \n" + kit.image(**{"unknown": [1.0, "\u00e9"], "x-y": None}) + b"\t\r\n "
    registry.push_manifest("a", "t", content)
    assert registry.ask("GET", "/v2/a/manifests/t").body == content


@RULES.row("Pushing Manifests", "success MUST be 201 with the Location of a pullable manifest")
def a_pushed_manifest_is_201(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    answer = registry.push_manifest("a", "t", kit.image())
    assert answer.status == 201
    assert registry.ask("GET", answer.path).body == kit.image()


@RULES.row("Pushing Manifests", "Docker-Content-Digest MUST equal the digest that the client gave")
def a_pushed_manifest_has_the_digest_that_was_given(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    for algorithm in ("sha256", "sha512"):
        digest = digest_of(kit.image(), algorithm)
        answer = registry.push_manifest("a", digest, kit.image())
        assert (answer.status, answer["Docker-Content-Digest"]) == (201, digest)


@RULES.row("Pushing Manifests", "a digest that is not the content's, or not computed, is refused")
def a_manifest_of_another_digest_is_refused(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    for digest in (ABSENT, *OTHER_DIGESTS, *NO_DIGESTS):
        answer = registry.push_manifest("a", f"{digest}?tag=t", kit.image())
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"]), digest
    assert_holds_only_a_blob(registry, kit)


@RULES.row("Pushing Manifests", "tags in the query SHOULD be taken, 10 at least, and be in OCI-Tag")
def tags_in_the_query_are_set(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    tags = [f"t{number:02}" for number in range(30)]
    for algorithm in ("sha256", "sha512"):
        digest = digest_of(kit.image(), algorithm)
        query = "&".join(f"tag={tag}" for tag in [*tags, *tags[:2]])
        answer = registry.push_manifest("a", f"{digest}?{query}", kit.image())
        assert answer.status == 201
        assert str(answer["OCI-Tag"]).split(", ") == tags
        assert registry.ask("HEAD", "/v2/a/manifests/t07")["Docker-Content-Digest"] == digest


@RULES.row("Pushing Manifests", "tags in the query are tags, or nothing is pushed")
def a_tag_in_the_query_that_is_none_is_refused(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    for tag in (".bad", "", "a" * 129, "a%2Fb", ABSENT):
        path = f"{digest_of(kit.image())}?tag=good&tag={tag}"
        answer = registry.push_manifest("a", path, kit.image())
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"]), tag
    assert_holds_only_a_blob(registry, kit)


@RULES.row("Pushing Manifests", "pulling from a nonexistent repository MUST be 404")
def a_nonexistent_repository_is_404(registry: Asked, kit: Kit) -> None:
    for path in ("manifests/t", f"manifests/{ABSENT}", f"blobs/{ABSENT}", "tags/list"):
        answer = registry.ask("GET", f"/v2/absent/{path}")
        assert (answer.status, answer.codes) == (404, ["NAME_UNKNOWN"])


@RULES.row(
    "Pushing Manifests", "over its limit, which SHOULD be 4 MB at least, a push SHOULD be 413"
)
def a_manifest_over_4_mib_is_413(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    limit = 4 * 1024 * 1024
    room = limit - len(kit.image(annotations={"a": ""}))
    for more, status in ((1, 413), (0, 201)):
        content = kit.image(annotations={"a": "x" * (room + more)})
        chunked = iter([content[:1000], content[1000:]])
        for body in (content, chunked):
            answer = registry.ask("PUT", "/v2/a/manifests/t", body, content_type=OCI_MANIFEST)
            assert answer.status == status
            if status == 413:
                assert answer.codes == ["MANIFEST_INVALID"]
                assert_holds_only_a_blob(registry, kit)


@RULES.row("Pushing Manifests with Subject", "the response MUST have OCI-Subject")
def a_pushed_subject_is_confirmed(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", kit.empty)
    subject = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    answer = registry.push_manifest("a", "image", kit.image(subject=subject))
    assert answer["OCI-Subject"] == ABSENT
    answer = registry.push_manifest("a", "index", kit.index(subject=subject), OCI_INDEX)
    assert answer["OCI-Subject"] == ABSENT
    assert registry.push_manifest("a", "t", kit.image())["OCI-Subject"] is None


@RULES.row("Deleting tags", "success MUST be 202; the tag is then 404, the manifest stays")
def a_deleted_tag_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    registry.push_image("a", "u")
    assert registry.ask("DELETE", "/v2/a/manifests/t").status == 202
    assert registry.ask("GET", "/v2/a/manifests/t").status == 404
    assert registry.ask("GET", "/v2/a/manifests/u").status == 200
    assert registry.ask("GET", f"/v2/a/manifests/{digest}").status == 200
    assert registry.ask("DELETE", "/v2/a/manifests/t").status == 404


@RULES.row("Deleting Manifests", "success MUST be 202; the digest and its tags are then 404")
def a_deleted_manifest_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_image("a", "t")
    assert registry.ask("DELETE", f"/v2/a/manifests/{digest}").status == 202
    for reference in ("t", digest):
        assert registry.ask("GET", f"/v2/a/manifests/{reference}").status == 404
    assert registry.ask("GET", "/v2/a/tags/list").json["tags"] == []


@RULES.row("Deleting Manifests", "in a repository that does not exist it MUST be 404")
def deleting_from_a_nonexistent_repository_is_404(registry: Asked, kit: Kit) -> None:
    for reference in ("t", ABSENT):
        assert registry.ask("DELETE", f"/v2/absent/manifests/{reference}").status == 404


@RULES.row("Deleting Blobs", "success MUST be 202, a blob that is not found 404")
def a_deleted_blob_is_202(registry: Asked, kit: Kit) -> None:
    digest = registry.push_blob("a", BLOB)
    registry.push_blob("b", BLOB)
    assert registry.ask("DELETE", f"/v2/a/blobs/{digest}").status == 202
    assert registry.ask("GET", f"/v2/a/blobs/{digest}").status == 404
    assert registry.ask("DELETE", f"/v2/a/blobs/{digest}").status == 404
    assert registry.ask("GET", f"/v2/b/blobs/{digest}").body == BLOB


def assert_holds_only_a_blob(registry: Asked, kit: Kit) -> None:
    """Nothing of what was pushed to it beside its empty config is there, under any name."""
    assert registry.ask("GET", "/v2/a/tags/list").json["tags"] == []
    for reference in ("t", digest_of(kit.image()), digest_of(kit.image(), "sha512")):
        assert registry.ask("HEAD", f"/v2/a/manifests/{reference}").status == 404
    if registry.storage is not None:
        digest = digest_of(kit.empty)
        assert registry.files() == [f"blobs/sha256/{digest[7:9]}/{digest[7:]}"]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_registry_keeps_the_rule(rule: Rule, anywhere: Asked, kit: Kit) -> None:
    rule.check(anywhere, kit)
