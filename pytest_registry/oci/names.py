"""Repository names, tags and digests, by the specifications' grammars."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"(?P<algorithm>[a-z0-9]+(?:[+._-][a-z0-9]+)*):(?P<encoded>[a-zA-Z0-9=_-]+)")
MAX_REPOSITORY_LENGTH = 255
"""Characters; clients refuse more (distribution-spec, "Pulling manifests")."""

DIGEST_LENGTHS = {"sha256": 64, "sha512": 128}
"""Hexadecimal digits of each registered algorithm that we compute (image-spec, descriptor.md)."""

_REGISTERED = {**DIGEST_LENGTHS, "blake3": 64}
_HEX = "0123456789abcdef"


def is_repository(text: str) -> bool:
    """Whether `text` is a repository name (distribution-spec, "Pulling manifests")."""
    return len(text) <= MAX_REPOSITORY_LENGTH and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` is a tag (distribution-spec, "Pulling manifests")."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether `text` is a digest of an algorithm that we compute: sha256 or sha512, lower case."""
    return algorithm_of(text) in DIGEST_LENGTHS and is_any_digest(text)


def is_any_digest(text: str) -> bool:
    """Whether `text` is a digest, also of an algorithm that nobody here computes.

    "Implementations SHOULD allow digests with unrecognized algorithms to pass validation if they
    comply with the above grammar"; those of the registered ones have their lengths (image-spec,
    descriptor.md, "Digests").
    """
    match = _DIGEST.fullmatch(text)
    if match is None:
        return False
    algorithm, encoded = match.groups()
    length = _REGISTERED.get(algorithm)
    return length is None or (length == len(encoded) and not encoded.strip(_HEX))


def looks_like_digest(text: str) -> bool:
    """Whether `text` has a digest's form, whatever the algorithm (a tag never holds a colon)."""
    return ":" in text


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """The digest of `content`, as `ALGORITHM:HEX`."""
    import hashlib  # loads OpenSSL: 3 ms that a start can do without

    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def digest_of_blocks(blocks: Iterable[bytes]) -> str:
    """The sha256 digest of what the blocks are together."""
    import hashlib

    seen = hashlib.sha256()
    for block in blocks:
        seen.update(block)
    return f"sha256:{seen.hexdigest()}"


def algorithm_of(digest: str) -> str:
    """The algorithm part of a valid digest."""
    return digest.partition(":")[0]
