"""What a member of a fault or throttle may be: its rule stands beside it, and serves everybody.

A rule is kept in the member's own field: what it is checked by, what an error says, and for which
requests it can happen at all. So a new fault is a new member and what carries it out (`effects`).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pytest_registry.errors import OptionError
from pytest_registry.report import selector


def never(_value: object) -> bool:
    """For no value at all."""
    return False


@dataclass(frozen=True, slots=True)
class Rule:
    """What a member may be: `accepted` says in words what `fits` checks.

    `methods` and `routes` are those of the requests that it can have its way with, all if empty;
    a value that is `free` can with any. `effect`: it is one of those of which a fault has one at
    most. `needs` names the member without which it does nothing.
    """

    accepted: str
    fits: Callable[[Any], bool]
    methods: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    free: Callable[[Any], bool] = never
    effect: bool = False
    needs: str = ""

    def happens(self, value: object, method: str, route: str) -> bool:
        """Whether a member of that value can have its way with such a request."""
        if self.free(value):
            return True
        in_methods = not self.methods or method in self.methods
        return in_methods and (not self.routes or route in self.routes)


def member(default: Any, rule: Rule, **changes: Any) -> Any:
    """A dataclass's field with its rule, or a like one that differs in `changes`.

    Where None is the default, None is accepted too.
    """
    rule = dataclasses.replace(rule, **changes)
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=dict, metadata={"rule": rule})
    return dataclasses.field(default=default, metadata={"rule": rule})


def rules(kind: Any) -> dict[str, Rule]:
    """The rules of a dataclass, or of one of its instances, by the members' names."""
    return {each.name: each.metadata["rule"] for each in dataclasses.fields(kind)}


def check(what: str, owner: Any) -> None:
    """Raise OptionError for the first member that its rule does not accept."""
    for each in dataclasses.fields(owner):
        value, rule = getattr(owner, each.name), each.metadata["rule"]
        if not (value is None and each.default is None) and not rule.fits(value):
            raise refused(f"{what}'s {each.name}", value, rule.accepted)
    given = dict(given_of(owner))
    for name, rule in rules(owner).items():
        if name in given and rule.needs and rule.needs not in given:
            raise refused(what, f"{name} without {rule.needs}", f"its {rule.needs} too")


def given_of(owner: Any) -> Iterator[tuple[str, Any]]:
    """The members that are not as by default."""
    for each in dataclasses.fields(owner):
        value = getattr(owner, each.name)
        default = {} if each.default is dataclasses.MISSING else each.default
        if value != default:
            yield each.name, value


def refused(what: str, given: object, accepted: str) -> OptionError:
    """The error for something that a test asked for and that cannot be."""
    shown = without_secrets(given) if isinstance(given, str) else given
    return selector.refused(what, shown, accepted)


def without_secrets(text: str) -> str:
    """A text whose URLs, where it has any, have neither a login nor a query."""
    return re.sub(r"(?<=://)[^/?#]*@", "***@", re.sub(r"(?<=[?#]).*", "***", text, flags=re.DOTALL))


# The rules that many members share --------------------------------------------------------------


def is_flag(value: object) -> bool:
    """Whether it is True or False."""
    return isinstance(value, bool)


def is_text(value: object) -> bool:
    """Whether it is a text that can be sent."""
    return isinstance(value, str) and not any("\ud800" <= each <= "\udfff" for each in value)


def is_whole(value: object, least: float = -math.inf) -> bool:
    """Whether it is a whole number; neither True nor 1.0 is."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object, least: float, most: float) -> bool:
    """Whether it is a number within both bounds; what is not a number, or has no end, is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def is_headers(value: object) -> bool:
    """Whether these are headers of HTTP."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str)
        and isinstance(text, str)
        and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
        and not re.search(r"[\0\r\n]", text)
        for name, text in value.items()
    )


def is_url(value: object) -> bool:
    """Whether it is the URL of a host of the web, as it can stand in a header."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]+", value):
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


FLAG = Rule("True or False", is_flag)
TEXT = Rule("a text", is_text)
HEADERS = Rule("names and values of HTTP headers", is_headers)


def at_least(least: int) -> Rule:
    """The rule of a whole number of at least so much."""
    return Rule(f"a whole number of at least {least}", lambda value: is_whole(value, least))


def one_of(names: tuple[str, ...]) -> Rule:
    """The rule of a text that is one of some."""
    return Rule(f"one of {', '.join(names)}", lambda value: is_text(value) and value in names)


def place(words: tuple[str, ...]) -> Rule:
    """The rule of a place in a body."""
    accepted = f"{' or '.join(map(repr, words))}, or a number of bytes"
    return Rule(accepted, lambda value: value in words or is_whole(value, 0))
