"""What goes wrong, and with which requests: plain data that a test writes, a server carries out."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pytest_registry.gate import members
from pytest_registry.gate.members import Rule, member, refused
from pytest_registry.report import selector
from pytest_registry.report.selector import Selector

_READ = ("GET", "HEAD")
ENDPOINTS: Mapping[str, tuple[str, ...]] = {
    "blob": (*_READ, "DELETE"),
    "manifest": (*_READ, "PUT", "DELETE"),
    "upload": (*_READ, "POST", "PATCH", "PUT", "DELETE"),
    "tags": _READ,
    "referrers": _READ,
    "token": (*_READ, "POST"),
    "catalog": _READ,
    "base": _READ,
}
"""The methods of each route, as the server's route table has them; `base` is `/v2/` itself."""

ANSWERS = ("spec", "azure", "docker-hub", "text", "html", "empty")
"""How a refusal's body is written: the specification's JSON; Azure's and Docker Hub's own texts;
bodies that are not JSON; none at all."""

TOO_MANY = ("azure", "docker-hub")
"""Those that say that there were too many requests, whatever the status is."""

MIDDLE = "middle"
BEFORE = "before"

_LONGEST_DELAY = 24 * 60 * 60
_LEAST_STATUS = 200
"""Below it are statuses after which a client goes on waiting for the answer."""


def _fits(pattern: str, value: str) -> bool:
    return not pattern or fnmatch.fnmatchcase(value, pattern)


def _fits_nothing(pattern: str) -> bool:
    """Whether it is a pattern for requests that name no repository, or no reference, too."""
    return _fits(pattern, "")


_ON = Rule(selector.ACCEPTED, lambda value: Selector.of(value) is not None)
_REPOSITORY = replace(
    members.TEXT,
    routes=("blob", "manifest", "upload", "tags", "referrers", "token"),
    free=_fits_nothing,
)
_REFERENCE = replace(
    members.TEXT, routes=("blob", "manifest", "upload", "referrers"), free=_fits_nothing
)
_SHARE = Rule(
    "a number that is more than 0, and 1 at most",
    lambda value: members.is_number(value, 0, 1) and value > 0,
)
_STATUS = Rule(
    "a status of HTTP that ends a request, such as 503",
    lambda value: members.is_whole(value, _LEAST_STATUS) and value in {*HTTPStatus},
)
_LENGTH = Rule(
    "the bytes by which it is wrong, a whole number such as -1",
    lambda value: members.is_whole(value) and value != 0,
)
_REDIRECT = Rule(
    "True, False, or a URL such as https://storage.test",
    lambda value: members.is_flag(value) or members.is_url(value),
    methods=("GET",),
    routes=("blob",),
)
_DELAY = Rule(
    f"a number of seconds, at least 0 and {_LONGEST_DELAY} at most",
    lambda value: members.is_number(value, 0, _LONGEST_DELAY),
)
_BANDWIDTH = Rule(
    "a number of bytes per second, at least 1",
    lambda value: members.is_number(value, 1, sys.float_info.max),
)
# A HEAD's answer has no body to be cut, that to a PUT none to speak of.
_CUT = replace(members.place((MIDDLE,)), methods=("GET",))
_RESET = replace(
    members.place((BEFORE, MIDDLE)),
    methods=("GET", "POST", "PUT", "PATCH"),
    free=lambda value: value == BEFORE,
)
_WITH_DIGEST = replace(
    members.FLAG, methods=(*_READ, "POST", "PUT"), routes=("blob", "manifest", "upload")
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and the requests that it meets.

    `on`: a method, a route, or both, such as `"GET blob"`, `"manifest"`, `"PUT"`; everything if
    empty. Routes are blob, manifest, upload, tags, referrers, token, catalog and base (`/v2/`).
    `repository` and `reference` (a tag or digest): exact, or with `*`. Of the requests that match,
    `nth` picks one (1 is the first), `times` the first so many, and `probability` a share of them,
    drawn from `seed`: the same seed gives the same draws.

    Then one of these happens to them.
    `status`: this answer, with `answer` for the text's style (spec, azure, docker-hub, text, html,
    empty), `body` for a text of one's own, `headers`, and `retry_after` in seconds; 401 asks for a
    login again, as the registry does. `reset`: the connection is reset, `"before"` an answer, in
    the `"middle"` of the body, or after so many bytes of it. `truncate`: the body ends in order but
    too early, in the `"middle"` or after so many bytes. `corrupt`: one byte of the body is wrong.
    `content_length`: it is wrong by so many bytes. `wrong_digest`: the Docker-Content-Digest header
    is another one. `expire_token`: 401, as for a token that expired just now. `redirect`: a blob is
    to be fetched from another host, which refuses requests with an Authorization header as object
    stores do; a text is the URL of a host of one's own. `require_oci_accept`: an OCI manifest is
    not found by a client whose Accept header does not name its type.

    With that or alone: `delay`, the seconds before the answer; `bandwidth`, its body's bytes per
    second. Raises OptionError for what cannot be.
    """

    on: str = member("", _ON)
    repository: str = member("", _REPOSITORY)
    reference: str = member("", _REFERENCE)
    nth: int | None = member(None, members.at_least(1))
    times: int | None = member(None, members.at_least(1))
    probability: float = member(1.0, _SHARE)
    seed: int = member(0, Rule("a whole number", members.is_whole))
    status: int | None = member(None, _STATUS, effect=True)
    answer: str = member("spec", members.one_of(ANSWERS), needs="status")
    body: str | None = member(None, members.TEXT, needs="status")
    headers: Mapping[str, str] = member({}, members.HEADERS, needs="status")
    retry_after: int | None = member(None, members.at_least(0), needs="status")
    reset: str | int | None = member(None, _RESET, effect=True)
    truncate: str | int | None = member(None, _CUT, effect=True)
    corrupt: bool = member(False, members.FLAG, methods=("GET",), effect=True)
    content_length: int | None = member(None, _LENGTH, effect=True)
    wrong_digest: bool = member(False, _WITH_DIGEST, effect=True)
    expire_token: bool = member(False, members.FLAG, effect=True)
    redirect: bool | str = member(False, _REDIRECT, effect=True)
    require_oci_accept: bool = member(
        False, members.FLAG, methods=_READ, routes=("manifest",), effect=True
    )
    delay: float = member(0.0, _DELAY)
    bandwidth: float | None = member(None, _BANDWIDTH)

    def __post_init__(self) -> None:
        members.check("a fault", self)
        _check_together(self)
        _check_possible(self)

    @property
    def _selector(self) -> Selector:
        return Selector.parse(self.on, "what a fault is on")

    @property
    def effect(self) -> str:
        """The one effect's name; empty for a fault that only slows down."""
        return next((name for name in EFFECTS if _is_given(self, name)), "")

    def matches(self, method: str, route: str, repository: str, reference: str) -> bool:
        """Whether it is about such a request, whatever its count."""
        return (
            self._selector.holds(method, route)
            and self._can_happen_to(method, route)
            and _fits(self.repository, repository)
            and _fits(self.reference, reference)
        )

    def _can_happen_to(self, method: str, route: str) -> bool:
        effect = self.effect
        return not effect or _RULES[effect].happens(getattr(self, effect), method, route)

    def describe(self) -> str:
        """The fault in a few words, for logs and reports."""
        effect = self.effect
        value = getattr(self, effect) if effect else None
        if effect == "redirect" and isinstance(value, str):
            value = _host_of(value)
        words = [effect if value is True else f"{effect} {value}"] if effect else []
        words += [f"delay {self.delay:g} s"] if self.delay else []
        words += [f"{self.bandwidth:g} B/s"] if self.bandwidth else []
        return ", ".join(words)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """Read what `to_json` made; raises OptionError, TypeError."""
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """The fault as plain data, without what is as by default."""
        return dict(members.given_of(self))


_RULES = members.rules(Fault)

EFFECTS = tuple(name for name, rule in _RULES.items() if rule.effect)
"""The effects of which a fault has one at most; `delay` and `bandwidth` go with any of them."""


def fault_of(*given: Any, **given_members: Any) -> Fault:
    """A fault of a mark's or call's arguments: `on`, or a whole fault, first; the others by name.

    Raises OptionError for a name that it has not.
    """
    if len(given) == 1 and isinstance(given[0], Fault) and not given_members:
        return given[0]
    unknown = [name for name in given_members if name not in _RULES]
    if unknown:
        raise refused("what a fault has", unknown[0], f"one of {', '.join(_RULES)}")
    if len(given) > 1 or (given and not isinstance(given[0], str)):
        raise refused("what a fault is on", given, "one text, and everything else by its name")
    return Fault(**({"on": given[0]} if given else {}) | given_members)


def marked(*given: Any, everywhere: bool = False, **given_members: Any) -> tuple[Fault, bool]:
    """The fault of a mark, and whether it is to meet the requests of other tests too.

    Raises OptionError as `fault_of` does.
    """
    if not members.is_flag(everywhere):
        raise refused("a fault's everywhere", everywhere, members.FLAG.accepted)
    return fault_of(*given, **given_members), everywhere


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests a fault or throttle meets: one worker's account, or one test's repositories.

    `account` None is everybody's (a run without workers has one test at a time). `namespace` is a
    prefix of repositories, empty for a test that has none.
    """

    account: str | None = None
    namespace: str = ""

    def holds(self, account: str | None, repository: str) -> bool:
        """Whether a request of this account, about this repository, is within."""
        if self.account is None or account == self.account:
            return True
        return bool(self.namespace) and (repository + "/").startswith(self.namespace + "/")

    def to_json(self) -> dict[str, Any]:
        """The scope as plain data."""
        return asdict(self)


def _is_given(fault: Fault, effect: str) -> bool:
    value = getattr(fault, effect)
    return value is not None and value is not False


def _check_together(fault: Fault) -> None:
    """Raise OptionError for members that each may be so, but not beside each other."""
    given = [name for name in EFFECTS if _is_given(fault, name)]
    if len(given) > 1:
        raise refused("a fault", f"{given[0]} and {given[1]}", "one of them; make two faults of it")
    if not given and not fault.delay and fault.bandwidth is None:
        accepted = f"one of {', '.join(EFFECTS)}, or delay, or bandwidth"
        raise refused("a fault", "no effect", accepted)
    if fault.nth is not None and fault.times is not None:
        raise refused("a fault", "nth and times", "one of them")
    if fault.answer in TOO_MANY and fault.status != HTTPStatus.TOO_MANY_REQUESTS:
        raise refused("a fault's answer", fault.answer, "status=429 with it, of which it speaks")


def _check_possible(fault: Fault) -> None:
    """Raise OptionError for a fault that no request can meet."""
    words = {*fault.on.split()}
    for name, rule in _RULES.items():
        value = getattr(fault, name)
        possible = [
            f"{method} {route}"
            for route, methods in ENDPOINTS.items()
            for method in methods
            if value is None or value is False or rule.happens(value, method, route)
        ]
        if not any(words <= {*each.split()} for each in possible):
            near = [each for each in possible if words & {*each.split()}] or possible
            what = "what a fault is on" if name == "on" else f"what a fault with {name} is on"
            raise refused(what, fault.on, " or ".join(near))


def _host_of(url: str) -> str:
    """What may be told of a URL: object stores put a key into its query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
