"""What a run was asked for, resolved and checked once: plain data for every process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_registry.errors import OptionError
from pytest_registry.options import OPTIONS, Option
from pytest_registry.values import DEFAULT, Value, in_words, parse, refusal, together

RUN_ONLY = frozenset(
    {
        *("keep", "reuse", "start_timeout", "slot_timeout", "state_dir"),
        *("sample_image", "upstream", "limits_url", "limits_lease", "report"),
    }
)
"""Options that do not change what a registry is: one that was kept serves all of their values."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options' values; see the options table for what each means.

    Times are in seconds; a limit of None is unlimited. `sources` says for each option in words
    where its value came from.
    """

    engine: str
    auth: str
    tls: str
    token_lifetime: float
    url: str | None
    image: str
    sample_image: str
    upstream: str
    start_timeout: float
    pull_limit: int | None
    push_limit: int | None
    slot_timeout: float
    limits_url: str | None
    limits_lease: float
    gateway: bool
    throttle: str | None
    report: str | None
    storage: str
    keep: bool
    reuse: bool
    state_dir: str | None
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> Settings:
        """The settings of resolved options."""
        return cls(
            **{option.name: values[option.name].value for option in OPTIONS},
            sources={name: each.source for name, each in values.items()},
        )

    @classmethod
    def defaults(cls, **changes: Any) -> Settings:
        """The table's defaults, with `changes`."""
        return cls(**{option.name: option.default for option in OPTIONS} | changes)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Settings:
        """Read what `to_json` made."""
        return cls(**value)

    def changed(self, source: str, **changes: Any) -> Settings:
        """These settings with other values of some options, which are checked as everywhere.

        A value is what the option means (`2.5`, `None`, `True`) or its text. A `url` or `engine`
        that is given alone beats the other one of these settings. Raises OptionError.
        """
        known = {option.name: option for option in OPTIONS}
        for name in changes.keys() - known.keys():
            raise OptionError(
                f"set {name}={changes[name]!r}",
                f"it came from {source}, and there is no such option",
                f"the options are {', '.join(known)}",
            )
        values = {name: Value(getattr(self, name), self.source(name)) for name in known}
        for name, value in changes.items():
            values[name] = Value(_checked(known[name], value, source), source)
        if changes.get("url") is not None and "engine" not in changes:
            values["engine"] = Value(known["engine"].default, DEFAULT)
        if "engine" in changes and values["engine"].value != "external" and "url" not in changes:
            values["url"] = Value(known["url"].default, DEFAULT)
        return Settings.of(together(values))

    def to_json(self) -> dict[str, Any]:
        """The settings as plain data for another process."""
        return dataclasses.asdict(self)

    def source(self, name: str) -> str:
        """Where the option `name` got its value, in words."""
        return self.sources.get(name, DEFAULT)

    def is_default(self, name: str) -> bool:
        """Whether nobody gave the option `name`."""
        return self.source(name) == DEFAULT

    def differences(self, other: Settings) -> list[str]:
        """The options that keep a registry of `other` from serving a run of these settings."""
        return [
            f"{option.name} ({getattr(other, option.name)!r}, not {getattr(self, option.name)!r})"
            for option in OPTIONS
            if option.name not in RUN_ONLY
            and getattr(other, option.name) != getattr(self, option.name)
        ]


def _checked(option: Option, value: Any, source: str) -> Any:
    """The value of an option that was given in Python; raises OptionError."""
    if value is None and (option.default is None or option.kind == "limit"):
        return None
    if isinstance(value, bool) and option.is_switch:
        return value
    if value is None or isinstance(value, bool):
        # As texts they would name a host or a directory, which nobody means.
        raise refusal(option, value, source, in_words(option))
    return parse(option, str(value), source)
