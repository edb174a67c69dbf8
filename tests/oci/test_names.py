"""Names, tags, digests and references, against the grammars as the specifications print them."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_registry.errors import InvalidReference
from pytest_registry.oci.names import (
    DIGEST_LENGTHS,
    digest_of,
    is_any_digest,
    is_digest,
    is_repository,
    is_tag,
)
from pytest_registry.oci.reference import (
    Reference,
    check_repository,
    check_tag,
    in_hub_library,
    is_host,
    normal_registry,
)

# distribution-spec, "Pulling manifests"; image-spec, descriptor.md, "Digests".
SPEC_NAME = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII
)
SPEC_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)
SPEC_DIGEST = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+", re.ASCII)
HEX = "0123456789abcdef"

near_names = st.text(alphabet="aZ9._-/:@é ", max_size=20)
components = st.builds(
    "".join,
    st.lists(st.sampled_from(["a", "z9", "0"]), min_size=1, max_size=3).flatmap(
        lambda parts: st.tuples(
            *(
                st.sampled_from([f"{part}{joint}" for joint in ("", ".", "_", "__", "-", "---")])
                for part in parts
            ),
            st.just("end"),
        )
    ),
)
repositories = st.lists(components, min_size=1, max_size=4).map("/".join)
tags = st.text("aZ9._-", min_size=1, max_size=128).map(lambda text: f"t{text}"[:128])
digests = st.sampled_from(sorted(DIGEST_LENGTHS)).flatmap(
    lambda name: st.text(HEX, min_size=DIGEST_LENGTHS[name], max_size=DIGEST_LENGTHS[name]).map(
        lambda encoded: f"{name}:{encoded}"
    )
)
hosts = st.sampled_from(
    ["127.0.0.1:5000", "localhost", "localhost:1", "registry.test", "[::1]:5000", "docker.io"]
)


@given(near_names | repositories)
@example("a__b")
@example("a___b")
@example("a---b")
@example("a\n")
def test_repository_names_are_those_of_the_specification(text: str) -> None:
    assert is_repository(text) == (SPEC_NAME.fullmatch(text) is not None)


@given(near_names | tags | st.text())
@example("a" * 128)
@example("a" * 129)
@example("a\n")
def test_tags_are_those_of_the_specification(text: str) -> None:
    assert is_tag(text) == (SPEC_TAG.fullmatch(text) is not None)


@pytest.mark.parametrize("length", [255, 256])
def test_a_repository_name_has_up_to_255_characters(length: int) -> None:
    assert is_repository("a" * length) == (length <= 255)


@given(digests)
def test_digests_of_both_algorithms_are_taken(digest: str) -> None:
    assert is_digest(digest)
    assert not is_digest(digest[:-1])
    assert not is_digest(f"{digest}0")
    assert not is_digest(digest.replace(":", ":G", 1)[: len(digest)])


@given(st.binary())
def test_what_digests_are_made_of_bytes_are_digests(content: bytes) -> None:
    assert is_digest(digest_of(content))
    assert is_digest(digest_of(content, "sha512"))


@pytest.mark.parametrize(
    "text", ["", "sha256:", f"sha256:{'A' * 64}", f"md5:{'a' * 32}", f"SHA256:{'a' * 64}", "latest"]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    assert not is_digest(text)


@given(st.from_regex(SPEC_DIGEST, fullmatch=True) | st.text("az9+._-:A=é\n", max_size=12))
def test_digests_of_unregistered_algorithms_are_those_of_the_specification(text: str) -> None:
    if text.partition(":")[0] not in ("sha256", "sha512", "blake3"):
        assert is_any_digest(text) == (SPEC_DIGEST.fullmatch(text) is not None)
        assert not is_digest(text)


@pytest.mark.parametrize(("algorithm", "length"), [("sha256", 64), ("sha512", 128), ("blake3", 64)])
def test_digests_of_registered_algorithms_have_their_lengths(algorithm: str, length: int) -> None:
    assert is_any_digest(f"{algorithm}:{'a' * length}")
    assert is_digest(f"{algorithm}:{'a' * length}") == (algorithm != "blake3")
    for encoded in ("a" * (length - 1), "a" * (length + 1), "A" * length, "g" * length, "a=", ""):
        assert not is_any_digest(f"{algorithm}:{encoded}")


@given(hosts, repositories, st.none() | tags, st.none() | digests)
def test_a_reference_is_read_as_it_is_written(
    host: str, repository: str, tag: str | None, digest: str | None
) -> None:
    written = Reference(host, repository, tag, digest)
    read = Reference.parse(str(written))
    assert Reference.parse(str(read)) == read
    if host != "docker.io" or "/" in repository:
        assert read == written
    assert read.target == (digest or tag or "latest")


@given(st.text() | near_names)
def test_any_text_is_malformed_or_a_reference_that_is_written_as_it_was_read(text: str) -> None:
    with contextlib.suppress(InvalidReference):
        read = Reference.parse(text)
        assert is_host(read.registry)
        assert is_repository(read.repository)
        assert Reference.parse(str(read)) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/me/app", "docker.io/me/app"),
        ("me/app", "docker.io/me/app"),
        ("localhost/app", "localhost/app"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
        ("UPPER/app", "UPPER/app"),
    ],
)
def test_names_are_completed_as_the_docker_command_does(text: str, read: str) -> None:
    assert str(Reference.parse(text)) == read


@pytest.mark.parametrize(
    "text", ["", ":", "a:", "a@", "a b", "a/B", "-a", "a//b", "host:port/a", "a:b:c", "http://a/b"]
)
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(InvalidReference, match="could not read the reference") as caught:
        Reference.parse(text)
    assert repr(text) in caught.value.asked
    assert "write [REGISTRY/]REPOSITORY" in caught.value.remedy


@pytest.mark.parametrize(("check", "bad"), [(check_repository, "A"), (check_tag, "a/b")])
def test_a_checked_name_is_returned_or_refused(check: object, bad: str) -> None:
    assert callable(check)
    assert check("fine") == "fine"
    with pytest.raises(InvalidReference, match=re.escape(repr(bad))):
        check(bad)


@pytest.mark.parametrize(
    ("text", "upstream", "below_library"),
    [
        ("nginx", "mirror.test", True),
        ("nginx:1", "mirror.test", True),
        ("me/app", "mirror.test", False),
        ("nginx", "docker.io", False),
        ("nginx", "registry-1.docker.io", False),
    ],
)
def test_a_mirror_has_one_word_names_below_library(
    text: str, upstream: str, below_library: bool
) -> None:
    assert in_hub_library(text, upstream) == below_library
    assert normal_registry("Index.Docker.IO") == "docker.io"
