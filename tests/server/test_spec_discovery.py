"""The distribution specification, rule by rule: tags and referrers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from pytest_registry.oci.media_types import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from tests.server.spec_table import ABSENT, NO_DIGESTS, OTHER_DIGESTS, Rule, Rules

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit

BLOB = b"the content of a blob"
RULES = Rules()


@RULES.row("Listing Tags", "of a known repository the list MUST be 200, and may be empty")
def tags_of_a_known_repository_are_200(registry: Asked, kit: Kit) -> None:
    registry.push_blob("a", BLOB)
    answer = registry.ask("GET", "/v2/a/tags/list")
    assert (answer.status, answer.json) == (200, {"name": "a", "tags": []})


@RULES.row("Listing Tags", "the tags MUST be sorted, in the JSON form of the specification")
def tags_are_sorted(registry: Asked, kit: Kit) -> None:
    for tag in ("b", "B", "a", "10", "9", "_"):
        registry.push_image("a/b", tag)
    answer = registry.ask("GET", "/v2/a/b/tags/list")
    assert answer.json == {"name": "a/b", "tags": ["10", "9", "B", "_", "a", "b"]}


@RULES.row("Listing Tags", "with n the response MUST include n results; Link MUST be rel=next")
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


@RULES.row("Listing Tags", "when n is zero the list MUST be empty, and Link MUST NOT be there")
def zero_tags_are_an_empty_list(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    answer = registry.ask("GET", "/v2/a/tags/list?n=0")
    assert (answer.status, answer.json["tags"], answer["Link"]) == (200, [], None)


@RULES.row("Listing Tags", "last is a tag, which is not in the result; n is then optional")
def tags_after_the_last_one_are_listed(registry: Asked, kit: Kit) -> None:
    for tag in "abcd":
        registry.push_image("x", tag)
    zeros = 20 * "0"
    for query, tags in (
        (f"n={zeros}2", "ab"),
        (f"n={zeros}", ""),
        ("n=" + 50 * "9", "abcd"),
        ("last=b", "cd"),
        ("n=1&last=b", "c"),
        ("last=bb", "cd"),
        ("last=d", ""),
    ):
        assert registry.ask("GET", f"/v2/x/tags/list?{query}").json["tags"] == list(tags)


@RULES.row("Docker's HTTP API V2, Catalog", "repositories are listed in pages as tags are")
def the_catalog_comes_in_pages(registry: Asked, kit: Kit) -> None:
    for name in ("e", "b", "a/z", "a", "c"):
        registry.push_blob(name, BLOB)
    answer, pages = registry.ask("GET", "/v2/_catalog?n=2"), []
    while True:
        pages.append(answer.json["repositories"])
        if (link := answer["Link"]) is None:
            break
        match = re.fullmatch(r'<http://[^/]+(/v2/_catalog[^>]+)>; rel="next"', link)
        assert match is not None
        answer = registry.ask("GET", match[1])
    assert pages == [["a", "a/z"], ["b", "c"], ["e"]]
    for query, names in (("", "a a/z b c e"), ("?last=a/z", "b c e"), ("?n=1&last=bb", "c")):
        answer = registry.ask("GET", f"/v2/_catalog{query}")
        assert answer.json == {"repositories": names.split()}
        assert (answer["Link"] is None) == ("n=" not in query)
    answer = registry.ask("GET", "/v2/_catalog?n=0")
    assert (answer.json, answer["Link"]) == ({"repositories": []}, None)
    answer = registry.ask("GET", "/v2/_catalog?n=-1")
    assert (answer.status, answer.codes) == (400, ["UNSUPPORTED"])


@RULES.row("Listing Referrers", "the response MUST be 200 with an index, and MUST NOT be 404")
def referrers_are_never_404(registry: Asked, kit: Kit) -> None:
    registry.push_image("a")
    for path in (f"absent/referrers/{ABSENT}", *(f"a/referrers/{d}" for d in OTHER_DIGESTS)):
        answer = registry.ask("GET", f"/v2/{path}")
        assert (answer.status, answer["Content-Type"]) == (200, OCI_INDEX)
        assert answer.json == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


@RULES.row("Listing Referrers", "an invalid digest MUST be 400")
def referrers_of_an_invalid_digest_are_400(registry: Asked, kit: Kit) -> None:
    for digest in (*NO_DIGESTS, "tag", "sha256:" + "g" * 64):
        answer = registry.ask("GET", f"/v2/a/referrers/{digest}")
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@RULES.row(
    "Listing Referrers", "descriptors MUST have artifactType, the config's for want of its own"
)
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


@RULES.row("Listing Referrers", "descriptors MUST include the annotations")
def referrers_tell_their_annotations(registry: Asked, kit: Kit) -> None:
    link = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    digest = registry.push_image("a", "t", subject=link, annotations={"key": "v\u00e4lue"})
    (only,) = registry.ask("GET", f"/v2/a/referrers/{ABSENT}").json["manifests"]
    assert only["annotations"] == {"key": "v\u00e4lue"}
    assert (only["digest"], only["mediaType"]) == (digest, OCI_MANIFEST)
    assert only["size"] == len(registry.ask("GET", f"/v2/a/manifests/{digest}").body)


@RULES.row("Listing Referrers", "a list too long for one manifest MUST have a Link with rel=next")
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


@RULES.row("Listing Referrers", "a list is no longer than its manifests, whatever their language")
def referrers_are_no_longer_than_what_was_pushed(registry: Asked, kit: Kit) -> None:
    link = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    registry.push_blob("a", kit.empty)
    texts = {"\u00e9" * 1_900_000, "\ud83d\ude00 and half of it: \ud83d"}
    for text in texts:
        value = json.loads(kit.image(subject=link))
        content = json.dumps({**value, "annotations": {"text": text}}, ensure_ascii=False)
        pushed = content.encode("utf-8", "backslashreplace")
        assert registry.push_manifest("a", digest_of(pushed), pushed).status == 201
    answer = registry.ask("GET", f"/v2/a/referrers/{ABSENT}")
    assert len(answer.body) <= 4 * 1024 * 1024
    assert {each["annotations"]["text"] for each in answer.json["manifests"]} == {
        text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") for text in texts
    }


@RULES.row(
    "Listing Referrers", "filtering SHOULD be supported, and MUST be told by OCI-Filters-Applied"
)
def referrers_are_filtered_by_artifact_type(registry: Asked, kit: Kit) -> None:
    link = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    wanted = registry.push_image("a", "1", subject=link, artifactType="application/x.a+json")
    registry.push_image("a", "2", subject=link, artifactType="application/x.b")
    for kind in ("application/x.a%2Bjson", "application/X.A%2BJSON"):
        answer = registry.ask("GET", f"/v2/a/referrers/{ABSENT}?artifactType={kind}")
        assert [each["digest"] for each in answer.json["manifests"]] == [wanted]
        assert answer["OCI-Filters-Applied"] == "artifactType"
    assert registry.ask("GET", f"/v2/a/referrers/{ABSENT}")["OCI-Filters-Applied"] is None


@RULES.row(
    "Enabling the Referrers API", "newly pushed manifests with a subject MUST be listed, then not"
)
def referrers_follow_pushes_and_deletions(registry: Asked, kit: Kit) -> None:
    subject = registry.push_image("a", "subject")
    link = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 7}
    digest = registry.push_image("a", "t", subject=link)
    path = f"/v2/a/referrers/{subject}"
    assert [each["digest"] for each in registry.ask("GET", path).json["manifests"]] == [digest]
    registry.ask("DELETE", f"/v2/a/manifests/{digest}")
    assert registry.ask("GET", path).json["manifests"] == []


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_registry_keeps_the_rule(rule: Rule, anywhere: Asked, kit: Kit) -> None:
    rule.check(anywhere, kit)
