"""References to images, and the registries that they name."""

import re
from typing import TYPE_CHECKING, NamedTuple, Self

from pytest_registry.errors import InvalidReference
from pytest_registry.oci.names import is_digest, is_repository, is_tag, looks_like_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.parse import SplitResult

_HOST = re.compile(
    r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?"
)


DOCKER_HUB = "docker.io"
_HUB_ALIASES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def is_host(text: str) -> bool:
    """Whether `text` is a registry's HOST[:PORT] as it stands in a reference."""
    return _HOST.fullmatch(text) is not None


def split_address(text: str) -> "SplitResult":
    """An address taken apart, with a port that there can be.

    Raises ValueError, which quotes nothing of the address: it may hold a password.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        _ = parts.port  # a number up to 65535, or it raises
    except ValueError:
        raise ValueError("it cannot be taken apart") from None
    return parts


class Reference(NamedTuple):
    """Where an image is: `REGISTRY/REPOSITORY[:TAG][@DIGEST]`."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def target(self) -> str:
        """What a manifest is asked for by: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    @classmethod
    def parse(cls, text: str, *, default_registry: str = DOCKER_HUB) -> Self:
        """Read a reference as the docker command does; raises InvalidReference.

        The first component is a registry if it holds a dot or a colon or is `localhost`. Docker
        Hub's names are one registry, and its one-word repositories stand below `library/`.
        """
        name, at, digest = text.partition("@")
        name, tag = _split_tag(name)
        registry, repository = _split_registry(name, default_registry)
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not is_host(registry):
            raise _invalid(text, f"{registry!r} is not a registry's host name")
        if not is_repository(repository):
            raise _invalid(text, f"{repository!r} is not a repository name")
        if tag is not None and not is_tag(tag):
            raise _invalid(text, f"{tag!r} is not a tag")
        if at and not is_digest(digest):
            raise _invalid(text, f"{digest!r} is not a sha256 or sha512 digest")
        return cls(registry, repository, tag, digest if at else None)


def in_hub_library(text: str, upstream: str) -> bool:
    """Whether a mirror `upstream` of Docker Hub would have this image below `library/`."""
    return "/" not in text and normal_registry(upstream) != DOCKER_HUB


def normal_registry(host: str) -> str:
    """One name for a registry that has several: Docker Hub's aliases become `docker.io`."""
    lowered = host.lower()
    return DOCKER_HUB if lowered in _HUB_ALIASES else lowered


def check_repository(text: str) -> str:
    """`text` itself if it is a repository name; raises InvalidReference."""
    if not _fits(text, is_repository):
        raise _invalid(text, f"{text!r} is not a repository name")
    return text


def check_tag(text: str) -> str:
    """`text` itself if it is a tag; raises InvalidReference."""
    if not _fits(text, is_tag):
        raise _invalid(text, f"{text!r} is not a tag")
    return text


def check_target(text: str) -> str:
    """`text` itself if it is a tag or a digest; raises InvalidReference."""
    if not _fits(text, is_tag, is_digest):
        raise _invalid(text, f"{text!r} is not a tag, nor a sha256 or sha512 digest")
    return text


def located(name: str, target: str) -> str:
    """`NAME:TAG` or `NAME@DIGEST`."""
    return f"{name}{'@' if looks_like_digest(target) else ':'}{target}"


def _fits(text: object, *grammars: "Callable[[str], bool]") -> bool:
    """Whether one of the grammars takes it; None or an image, which tests may give, is no text."""
    return isinstance(text, str) and any(takes(text) for takes in grammars)


def _split_tag(name: str) -> tuple[str, str | None]:
    head, colon, tail = name.rpartition(":")
    if not colon or "/" in tail:
        return name, None
    return head, tail


def _split_registry(name: str, default: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return normal_registry(first), rest
    if slash and first != first.lower():
        return first, rest  # nothing but its capitals tells that it is a host: they must stay
    return normal_registry(default), name


def _invalid(text: str, happened: str) -> InvalidReference:
    return InvalidReference(
        f"read the reference {text!r}",
        happened,
        "write [REGISTRY/]REPOSITORY[:TAG][@DIGEST]; a repository is of lower-case letters, digits,"
        " and . _ - between them, parted by /; a tag of up to 128 letters, digits, . _ -",
    )
