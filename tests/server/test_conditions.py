"""Conditional requests: `If-Match` and `If-None-Match` (RFC 9110, section 13)."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pytest_registry.oci.media_types import OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from tests.server.spec_table import ABSENT

if TYPE_CHECKING:
    from tests.server.conftest import Answer, Asked, Kit

THIS = "(this)"
"""Stands for the entity tag of what is there."""


class Row(NamedTuple):
    """What comes of a condition on what is there: its value, and the statuses of the answers."""

    header: str
    value: str
    read: int
    written: bool


CONDITIONS = [
    Row("If-Match", "*", 200, True),
    Row("If-Match", THIS, 200, True),
    Row("If-Match", f'"x", {THIS} , "y"', 200, True),
    Row("If-Match", f"W/{THIS}", 412, False),  # by strong comparison (section 13.1.1)
    Row("If-Match", '"x"', 412, False),
    Row("If-Match", f'"{ABSENT}"', 412, False),
    Row("If-Match", ABSENT, 412, False),  # no entity tag without its quotes
    Row("If-None-Match", "*", 304, False),
    Row("If-None-Match", THIS, 304, False),
    Row("If-None-Match", f"W/{THIS}", 304, False),  # by weak comparison (section 13.1.2)
    Row("If-None-Match", f'"x",{THIS}', 304, False),
    Row("If-None-Match", '"x", W/"y"', 200, True),
]


def assert_failed(answer: Answer) -> None:
    assert (answer.status, answer.codes) == (412, ["DENIED"])
    assert "a precondition failed" in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize("row", CONDITIONS, ids=lambda row: f"{row.header}: {row.value}")
@pytest.mark.parametrize("noun", ["tag", "digest", "blob"])
def test_what_is_there_is_compared(noun: str, row: Row, anywhere: Asked, kit: Kit) -> None:
    digest = digest_of(kit.empty) if noun == "blob" else digest_of(kit.image())
    path = {"tag": "manifests/t", "digest": f"manifests/{digest}", "blob": f"blobs/{digest}"}[noun]
    path = f"/v2/a/{path}"
    headers = {row.header: row.value.replace(THIS, f'"{digest}"')}
    anywhere.push_image("a", "t")
    answers = [anywhere.ask(method, path, None, headers) for method in ("HEAD", "GET")]
    assert [each.status for each in answers] == [row.read, row.read]
    assert [each["ETag"] for each in answers] == 2 * [None if row.read == 412 else f'"{digest}"']
    if noun != "blob":
        sent = {**headers, "Content-Type": OCI_MANIFEST}
        answers.append(anywhere.ask("PUT", path, kit.image(), sent))
        assert answers[-1].status == (201 if row.written else 412)
    answers.append(anywhere.ask("DELETE", path, None, headers))
    assert answers[-1].status == (202 if row.written else 412)
    assert anywhere.ask("GET", path).status == (404 if row.written else 200)
    for answer in answers[1:]:  # HEAD has no body
        if answer.status == 412:
            assert_failed(answer)


@pytest.mark.parametrize(
    ("header", "value"), [("If-Match", "*"), ("If-Match", f'"{ABSENT}"'), ("If-None-Match", "*")]
)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_push_may_depend_on_nothing_being_there(
    by: str, header: str, value: str, registry: Asked, kit: Kit
) -> None:
    registry.push_image("a", "other")
    content, before = kit.image(annotations={"new": "yes"}), registry.files()
    path = f"/v2/a/manifests/{'t' if by == 'tag' else digest_of(content)}"
    answer = registry.ask("PUT", path, content, {header: value, "Content-Type": OCI_MANIFEST})
    if header == "If-None-Match":
        assert answer.status == 201
        assert registry.ask("GET", path).body == content
    else:
        assert_failed(answer)
        assert registry.ask("GET", path).status == 404
        assert registry.files() == before


def test_a_tag_is_moved_only_from_where_it_was_seen(anywhere: Asked, kit: Kit) -> None:
    first = anywhere.push_image("a", "t")
    second = kit.image(annotations={"version": "2"})
    headers = {"If-Match": f'"{first}"', "Content-Type": OCI_MANIFEST}
    assert anywhere.ask("PUT", "/v2/a/manifests/t", second, headers).status == 201
    third = kit.image(annotations={"version": "3"})
    assert_failed(anywhere.ask("PUT", "/v2/a/manifests/t", third, headers))
    assert anywhere.ask("GET", "/v2/a/manifests/t").body == second
    assert anywhere.ask("HEAD", f"/v2/a/manifests/{digest_of(third)}").status == 404
    # It is the tag that is compared: the manifest that it pointed to is still there.
    assert_failed(anywhere.ask("DELETE", "/v2/a/manifests/t", None, headers))
    assert anywhere.ask("DELETE", f"/v2/a/manifests/{first}", None, headers).status == 202


@pytest.mark.parametrize("path", ["manifests/u", f"manifests/{ABSENT}", f"blobs/{ABSENT}"])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_what_is_not_there_is_404_whatever_the_condition(
    header: str, path: str, registry: Asked
) -> None:
    """Section 13.2.1: conditions are ignored where the answer would be an error without them."""
    registry.push_image("a", "t")
    for method in ("GET", "HEAD", "DELETE"):
        assert registry.ask(method, f"/v2/a/{path}", None, {header: "*"}).status == 404


def test_if_match_is_asked_before_if_none_match(registry: Asked) -> None:
    digest = registry.push_image("a", "t")
    headers = {"If-Match": '"x"', "If-None-Match": f'"{digest}"'}
    assert_failed(registry.ask("GET", "/v2/a/manifests/t", None, headers))


@pytest.mark.parametrize("condition", ["If-None-Match", "If-Match"])
def test_of_pushes_at_once_one_has_its_condition_met(
    condition: str, anywhere: Asked, kit: Kit
) -> None:
    digest = anywhere.push_image("a", "seen")
    together = threading.Barrier(8)
    value = "*" if condition == "If-None-Match" else f'"{digest}"'
    headers = {condition: value, "Content-Type": OCI_MANIFEST}
    contents = [kit.image(annotations={"by": str(number)}) for number in range(8)]

    def push(path: str, content: bytes) -> int:
        together.wait()
        return anywhere.ask("PUT", path, content, headers).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number in range(10):
            path = f"/v2/a/manifests/t{number}"
            if condition == "If-Match":
                anywhere.push_image("a", f"t{number}")
            statuses = list(pool.map(push, 8 * [path], contents))
            assert sorted(statuses) == [201, *7 * [412]]
            assert anywhere.ask("GET", path).body == contents[statuses.index(201)]
