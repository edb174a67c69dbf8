"""How a registry throttles its clients: plain data, and what hosted registries do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_registry.gate.fault import ANSWERS, refused

CLASSES = ("read", "write", "delete", "referrers", "token")
"""The classes of requests that have a bucket each; lists of referrers are no reads."""

_COUNTS = (*CLASSES, "pulls", "pushes", *(f"{name}_per_account" for name in CLASSES))


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
    `retry_after` whether it says in seconds when to come back.
    """

    pulls: int | None = None
    pushes: int | None = None
    read: int | None = None
    write: int | None = None
    delete: int | None = None
    referrers: int | None = None
    token: int | None = None
    read_per_account: int | None = None
    write_per_account: int | None = None
    delete_per_account: int | None = None
    referrers_per_account: int | None = None
    token_per_account: int | None = None
    answer: str = "spec"
    retry_after: bool = True

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise refused(f"a throttle's {name}", value, "a whole number of at least 1")
        if self.answer not in ANSWERS:
            raise refused("a throttle's answer", self.answer, f"one of {', '.join(ANSWERS)}")

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
    if isinstance(preset, Throttle):
        found = preset
    elif preset is None:
        found = Throttle()
    elif preset == STRICT:
        found = Throttle(pulls=pull_limit, pushes=push_limit)
    elif preset in PRESETS:
        found = PRESETS[preset]
    else:
        raise refused("a throttle", preset, f"one of {', '.join(NAMES)}")
    unknown = changes.keys() - {each.name for each in dataclasses.fields(Throttle)}
    if unknown:
        raise refused("a throttle's setting", sorted(unknown)[0], f"one of {', '.join(_COUNTS)}")
    return dataclasses.replace(found, **changes)
