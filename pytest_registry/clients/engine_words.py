"""From what a container engine or a command says in words to the error that the reader gets."""

from __future__ import annotations

from typing import NoReturn

from pytest_registry.errors import AuthenticationFailed, ImageNotFound, RateLimited, RegistryError

_REFUSED = ("unauthorized", "authentication required", "no basic auth", "denied:")
_MISSING = ("not found", "manifest unknown", "no such image", "does not exist", "name unknown")
"""How engines and registries say it. Docker Hub tells nobody whether a repository exists: "pull
access denied for x, repository does not exist or may require 'docker login'"."""


COMMAND = "transfer-failed"
"""The section about commands of the engine that fail, whatever they were to do."""


def fail(
    asked: str,
    happened: str,
    kind: type[RegistryError],
    cause: Exception | None = None,
    *,
    own: bool = False,
) -> NoReturn:
    """Raise our error for what the engine said; its texts are all that tells the causes apart.

    `own`: it speaks of the run's registry, which tells a missing right from a missing image.
    """
    lowered = happened.lower()
    if "toomanyrequests" in lowered or "too many requests" in lowered:
        raise RateLimited(
            asked,
            happened,
            "log in to that registry, use a mirror (--registry-upstream), or have the image in the"
            " engine before the run",
        ) from cause
    is_refused = any(sign in lowered for sign in _REFUSED)
    if any(sign in lowered for sign in _MISSING) and not (own and is_refused):
        raise ImageNotFound(
            asked, happened, "check the name and tag, and whether the image was pushed"
        ) from cause
    if is_refused:
        raise AuthenticationFailed(
            asked, happened, "check the credentials; those of the run are registry.credentials"
        ) from cause
    section = kind.section or COMMAND
    raise kind(asked, happened, "see the engine's own log for more", section=section) from cause
