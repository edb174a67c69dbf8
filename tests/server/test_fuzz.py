"""Whatever is asked: no 5xx, an answer in the specified form, and no file outside of the store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from pytest_registry.oci.names import digest_of
from pytest_registry.server.errors import Code

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Serve

BLOB = b"{}"
DIGEST = digest_of(BLOB)
DIGESTS = st.sampled_from(
    [DIGEST, digest_of(BLOB, "sha512"), "sha256:" + "0" * 64, "sha256:", "sha256:zz", "md5:00", ":"]
)
NASTY = st.text(
    st.sampled_from("aA0./\\%:;?&=_-~+ *\0\r\n\t\x7f\u00e9\u202e\U0001f433"), max_size=12
)
NAMES = st.sampled_from(["a", "a/b", "library/x.y_z", "A", "..", "a/../b", "a" * 300]) | NASTY
TAGS = st.sampled_from(["latest", "v1", ".", "..", "x" * 129]) | NASTY
REFERENCES = DIGESTS | TAGS
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "X"])
NUMBERS = st.sampled_from(["0", "1", "2", "-1", "x", "9" * 30, "\u0661"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | DIGESTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
DESCRIPTORS = JSON | st.fixed_dictionaries(
    {"mediaType": st.sampled_from(["application/x", 1]), "digest": DIGESTS},
    optional={"size": st.sampled_from([2, -1, 1.5, 2**70, True]), "urls": JSON, "data": JSON},
)
MANIFESTS = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.just(2) | JSON,
        "mediaType": st.sampled_from([OCI_MANIFEST, OCI_INDEX]) | JSON,
        "config": DESCRIPTORS,
        "layers": st.lists(DESCRIPTORS, max_size=2) | JSON,
        "manifests": st.lists(DESCRIPTORS, max_size=2) | JSON,
        "subject": DESCRIPTORS,
        "artifactType": st.text(max_size=5) | JSON,
        "annotations": st.dictionaries(st.text(max_size=3), st.text(max_size=3)) | JSON,
    },
).map(lambda value: json.dumps(value).encode())
BODIES = (
    st.sampled_from([b"", BLOB, b"[" * 10_000, b"\xff\xfe"]) | MANIFESTS | st.binary(max_size=9)
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Range",
            "Content-Range",
            "Content-Type",
            "If-None-Match",
            "If-Match",
            "If-Range",
            "Accept",
            "Expect",
        ]
    ),
    st.sampled_from(
        ["bytes=0-1", "bytes=5-", "0-1", "2-1", OCI_MANIFEST, OCI_INDEX, "*", f'"{DIGEST}"', "x"]
    )
    | NASTY,
    max_size=3,
)
SEGMENTS = st.lists(
    st.sampled_from(["v2", "blobs", "manifests", "tags", "list", "uploads", "_catalog", "..", ""])
    | NASTY,
    max_size=6,
)


def percent(text: str) -> str:
    """Encoded as a client would, or as an attacker would: everything, slashes too."""
    return "".join(
        character if character.isascii() and character.isalnum() else percent_one(character)
        for character in text
    )


def percent_one(character: str) -> str:
    if character in "/:._-":
        return character
    return "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Paths near those of the table, and others."""
    name, reference = percent(draw(NAMES)), percent(draw(REFERENCES))
    path = draw(
        st.sampled_from(
            [
                "/v2/",
                "/v2/_catalog",
                f"/v2/{name}/tags/list",
                f"/v2/{name}/manifests/{reference}",
                f"/v2/{name}/blobs/{reference}",
                f"/v2/{name}/referrers/{reference}",
                f"/v2/{name}/blobs/uploads/",
                f"/v2/{name}/blobs/uploads/{reference}",
            ]
        )
        | SEGMENTS.map(lambda segments: "/" + "/".join(map(percent, segments)))
    )
    query = draw(
        st.dictionaries(
            st.sampled_from(
                ["digest", "mount", "from", "n", "last", "tag", "artifactType", "digest-algorithm"]
            ),
            DIGESTS | NUMBERS | NAMES,
            max_size=3,
        )
    )
    return path + "?" + "&".join(f"{key}={percent(value)}" for key, value in query.items())


@pytest.fixture
def fuzzed(serve: Serve) -> Iterator[Asked]:
    """A registry that holds a little."""
    registry = serve()
    registry.push_image("a", "latest")
    registry.push_image("a/b", "v1")
    yield registry
    assert not [line for line in registry.lines if "Traceback" in line]


def check(answer: bytes, inside: Path) -> None:
    """The rules that hold for every answer."""
    match = re.match(rb"HTTP/1\.1 ([1-4][0-9][0-9]) [A-Za-z' -]+\r\n", answer)
    assert match is not None, answer[:300]
    head, _, body = answer.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:]:
        assert re.fullmatch(rb"[A-Za-z-]+: [^\r\n\0]*", line), head
    if int(match[1]) >= 400 and body:
        for error in json.loads(body)["errors"]:
            assert error["code"] in Code.__members__
    assert {path.name for path in inside.parent.iterdir()} == {inside.name}


FUZZ = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(method=METHODS, path=paths(), headers=HEADERS, body=BODIES)
def test_requests_near_the_api(
    fuzzed: Asked, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    answer = fuzzed.raw(head.encode("latin-1", "replace") + body)
    assert fuzzed.storage is not None
    check(answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"), fuzzed.storage)


@FUZZ
@given(manifest=MANIFESTS, media_type=st.sampled_from([OCI_MANIFEST, OCI_INDEX, "", "a/b", "x"]))
def test_manifests_of_any_kind(fuzzed: Asked, manifest: bytes, media_type: str) -> None:
    answer = fuzzed.push_manifest("a", "fuzz", manifest, media_type)
    assert answer.status in (201, 400)
    if answer.status == 201:
        assert fuzzed.ask("GET", "/v2/a/manifests/fuzz").body == manifest


@FUZZ
@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind(fuzzed: Asked, data: bytes) -> None:
    answer = fuzzed.raw(data)
    assert fuzzed.storage is not None
    if answer:
        check(answer, fuzzed.storage)


@FUZZ
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["PATCH", "PUT", "GET", "DELETE"]),
            st.binary(max_size=6),
            st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
        ),
        max_size=5,
    )
)
def test_uploads_in_any_order(
    fuzzed: Asked, steps: list[tuple[str, bytes, tuple[int, int] | None]]
) -> None:
    """A model of one upload: what the registry says it has is what it was given."""
    path, held, alive = fuzzed.start_upload("fuzz"), b"", True
    for method, body, span in steps:
        headers = (
            {} if span is None or method == "GET" else {"Content-Range": f"{span[0]}-{span[1]}"}
        )
        target = f"{path}?digest={digest_of(held + body)}" if method == "PUT" else path
        answer = fuzzed.ask(method, target, body if method in ("PATCH", "PUT") else None, headers)
        # A chunk of no bytes has no range that could be written.
        fits = span is None or (span[0] == len(held) and span[1] - span[0] + 1 == len(body) > 0)
        if not alive:
            assert answer.status == 404
        elif method == "GET":
            assert (answer.status, answer["Range"]) == (204, f"0-{max(len(held) - 1, 0)}")
        elif method == "DELETE":
            assert answer.status == 204
            alive = False
        elif not fits:
            assert answer.status in (400, 416)
        else:
            held += body
            assert answer.status == {"PATCH": 202, "PUT": 201}[method]
            alive = method == "PATCH"
    if alive:
        fuzzed.ask("DELETE", path)
    assert not [name for name in fuzzed.files() if name.startswith("uploads")]
