"""`WWW-Authenticate` challenges (RFC 9110, section 11.6.1) and scopes of bearer tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAX_HEADER = 8192
"""Characters of a header that are read; longer ones are cut, so that parsing stays cheap."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's grammar, no secret
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"=]+(?=[\s,]|$)))')
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t,]|$)[ \t]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a server offers: the scheme and the parameters' names in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        """For `Bearer`: the token server's URL."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str | None:
        """For `Bearer`: how the token server knows this registry."""
        return self.parameters.get("service")

    @property
    def scopes(self) -> tuple[str, ...]:
        """For `Bearer`: what the refused request needs, as `TYPE:NAME:ACTION[,ACTION...]`."""
        return tuple(self.parameters.get("scope", "").split())


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge of the given headers, in order; what cannot be read is left out.

    One header may hold several challenges, and both challenges and parameters are parted by
    commas: a token before `=` is a parameter, any other begins a challenge.
    """
    return tuple(challenge for header in headers for challenge in _parse(header[:MAX_HEADER]))


def _parse(header: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        if header[position] in " \t,":
            position += 1
        elif found and (match := _PARAMETER.match(header, position)):
            name, quoted, plain = match.groups()
            found[-1][1][name.lower()] = plain if quoted is None else _unescape(quoted)
            position = match.end()
        elif match := _SCHEME.match(header, position):
            found.append((match[1].lower(), {}))
            position = _after_token68(header, match.end())
        else:
            position += 1
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _after_token68(header: str, position: int) -> int:
    match = _TOKEN68.match(header, position)
    return position if match is None else match.end()


def _unescape(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)


def merge_scopes(*groups: Iterable[str]) -> tuple[str, ...]:
    """One sorted list of scopes; actions on the same resource are united.

    A scope that is not `TYPE:NAME:ACTIONS` is kept as it is. Names may hold colons.
    """
    actions: dict[str, set[str]] = {}
    for scope in (scope for group in groups for scope in group):
        resource, colon, verbs = scope.rpartition(":")
        if not colon:
            resource, verbs = scope, ""
        actions.setdefault(resource, set()).update(verb for verb in verbs.split(",") if verb)
    return tuple(
        f"{resource}:{','.join(sorted(verbs))}" if verbs else resource
        for resource, verbs in sorted(actions.items())
    )


def repository_scope(repository: str, *actions: str) -> str:
    """The scope of `actions` (pull, push, delete) on a repository."""
    return f"repository:{repository}:{','.join(actions)}"
