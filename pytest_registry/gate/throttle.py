"""How a registry throttles its clients: plain data, and what hosted registries do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_registry.gate import members
from pytest_registry.gate.fault import ANSWERS
from pytest_registry.gate.members import member, refused

CLASSES = ("read", "write", "delete", "referrers", "token")
"""The classes of requests that have a bucket each; lists of referrers are no reads."""

_LIMIT = members.at_least(1)


@dataclass(frozen=True, slots=True)
class Throttle:
    """When a registry answers 429.

    `pulls` and `pushes`: how many may run at once; None is no limit. A pull is counted from what
    reaches the registry: the most requests at once for one blob or manifest of one repository by
    one account and program. So a client that fetches several layers at once is one pull, and
    clients that keep to the limits are never refused.

    `read`, `write`, `delete`, `referrers` and `token`: requests per minute of each class, in a
    bucket that holds one minute's worth and fills up evenly; the same with `_per_account` for each
    account. `answer` is the refusal's style (spec, azure, docker-hub, text, html, empty),
    `retry_after` whether it says in seconds when to come back. Raises OptionError for what cannot
    be, such as one without any limit.
    """

    pulls: int | None = member(None, _LIMIT)
    pushes: int | None = member(None, _LIMIT)
    read: int | None = member(None, _LIMIT)
    write: int | None = member(None, _LIMIT)
    delete: int | None = member(None, _LIMIT)
    referrers: int | None = member(None, _LIMIT)
    token: int | None = member(None, _LIMIT)
    read_per_account: int | None = member(None, _LIMIT)
    write_per_account: int | None = member(None, _LIMIT)
    delete_per_account: int | None = member(None, _LIMIT)
    referrers_per_account: int | None = member(None, _LIMIT)
    token_per_account: int | None = member(None, _LIMIT)
    answer: str = member("spec", members.one_of(ANSWERS))
    retry_after: bool = member(True, members.FLAG)

    def __post_init__(self) -> None:
        members.check("a throttle", self)
        if all(getattr(self, name) is None for name in LIMITS):
            raise refused("a throttle", "no limit", f"one of {', '.join(LIMITS)}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Throttle:
        """Read what `to_json` made; raises OptionError, TypeError."""
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """The throttle as plain data."""
        return dataclasses.asdict(self)

    def per_minute(self, kind: str, *, each_account: bool) -> int | None:
        """The requests of a class per minute, of everybody or of each account; None: no limit."""
        value: int | None = getattr(self, f"{kind}_per_account" if each_account else kind)
        return value


_RULES = members.rules(Throttle)

LIMITS = tuple(name for name, rule in _RULES.items() if rule == _LIMIT)
"""The members of which a throttle has one at least."""

_AZURE = Throttle(
    pulls=10,
    pushes=5,
    read=10_000,
    write=2_000,
    delete=1_000,
    referrers=500,
    token=10_000,
    read_per_account=5_000,
    write_per_account=1_000,
    delete_per_account=500,
    referrers_per_account=250,
    answer="azure",
)
_AZURE_PREMIUM = dataclasses.replace(
    _AZURE,
    read=20_000,
    write=4_000,
    delete=4_000,
    referrers=2_000,
    token=20_000,
    read_per_account=10_000,
    write_per_account=2_000,
    delete_per_account=2_000,
    referrers_per_account=1_000,
)

PRESETS: Mapping[str, Throttle] = {
    "azure-basic": _AZURE,
    "azure-standard": _AZURE,
    "azure-premium": _AZURE_PREMIUM,
}
"""What hosted registries do (Azure's documented limits of July 2026)."""

STRICT = "strict"
"""The preset that is the run's own limits: 429 for whoever exceeds them without taking slots."""

NAMES = (STRICT, *PRESETS)


def throttle_of(
    preset: str | Throttle | None,
    *,
    pull_limit: int | None,
    push_limit: int | None,
    **changes: Any,
) -> Throttle:
    """A preset, or none, with changes; the limits are the run's. Raises OptionError."""
    unknown = sorted(changes.keys() - _RULES.keys())
    if unknown:
        raise refused("a throttle's setting", unknown[0], f"one of {', '.join(_RULES)}")
    if isinstance(preset, Throttle):
        return dataclasses.replace(preset, **changes)
    if preset is None:
        return Throttle(**changes)
    if preset == STRICT:
        return Throttle(**{"pulls": pull_limit, "pushes": push_limit} | changes)
    if preset not in PRESETS:
        raise refused("a throttle", preset, f"one of {', '.join(NAMES)}")
    return dataclasses.replace(PRESETS[preset], **changes)
