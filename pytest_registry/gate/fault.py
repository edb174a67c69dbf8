"""What goes wrong, and with which requests: plain data that a test writes, a server carries out."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pytest_registry.errors import OptionError

ROUTES = ("blob", "manifest", "upload", "tags", "referrers", "token", "catalog", "base")
"""What `Fault.on` can name, as the server's route table does; `base` is `/v2/` itself."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

ANSWERS = ("spec", "azure", "docker-hub", "text", "html", "empty")
"""How a refusal's body is written: the specification's JSON; Azure's and Docker Hub's own texts;
bodies that are not JSON; none at all."""

EFFECTS = (
    "status",
    "reset",
    "truncate",
    "corrupt",
    "content_length",
    "wrong_digest",
    "expire_token",
    "redirect",
    "require_oci_accept",
)
"""The effects of which a fault has one at most; `delay` and `bandwidth` go with any of them."""

MIDDLE = "middle"
BEFORE = "before"


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

    on: str = ""
    repository: str = ""
    reference: str = ""
    nth: int | None = None
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    status: int | None = None
    answer: str = "spec"
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    reset: str | int | None = None
    truncate: str | int | None = None
    corrupt: bool = False
    content_length: int | None = None
    wrong_digest: bool = False
    expire_token: bool = False
    redirect: bool | str = False
    require_oci_accept: bool = False
    delay: float = 0.0
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def method(self) -> str:
        """The method that `on` names; empty for all."""
        return next((word for word in self.on.split() if word in METHODS), "")

    @property
    def route(self) -> str:
        """The route that `on` names; empty for all."""
        return next((word for word in self.on.split() if word in ROUTES), "")

    @property
    def effect(self) -> str:
        """The one effect's name; empty for a fault that only slows down."""
        return next((name for name in EFFECTS if _is_given(getattr(self, name))), "")

    def matches(self, method: str, route: str, repository: str, reference: str) -> bool:
        """Whether it is about such a request, whatever its count."""
        return (
            self.method in ("", method)
            and self._can_happen_to(method, route)
            and self.route in ("", route)
            and _fits(self.repository, repository)
            and _fits(self.reference, reference)
        )

    def _can_happen_to(self, method: str, route: str) -> bool:
        """Whether such a request has what goes wrong: a HEAD's answer has no body to be cut."""
        if self.redirect:
            return method == "GET" and route == "blob"
        if self.require_oci_accept:
            return method in ("GET", "HEAD") and route == "manifest"
        if self.truncate is not None or self.corrupt:
            return method == "GET"
        if self.reset is not None and self.reset != BEFORE:
            return method in ("GET", "POST", "PUT", "PATCH")
        return True

    def describe(self) -> str:
        """The fault in a few words, for logs and reports."""
        effect = self.effect
        value = getattr(self, effect) if effect else None
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
        return {
            each.name: getattr(self, each.name)
            for each in dataclasses.fields(self)
            if getattr(self, each.name) not in (each.default, {})
        }


def fault_of(*given: Any, **members: Any) -> Fault:
    """A fault of a mark's or call's arguments: `on`, or a whole fault, first; the others by name.

    Raises OptionError for a name that it has not.
    """
    if len(given) == 1 and isinstance(given[0], Fault) and not members:
        return given[0]
    names = [each.name for each in dataclasses.fields(Fault)]
    unknown = [name for name in members if name not in names]
    if unknown:
        raise refused("what a fault has", unknown[0], f"one of {', '.join(names)}")
    if len(given) > 1 or (given and not isinstance(given[0], str)):
        raise refused("what a fault is on", given, "one text, and everything else by its name")
    return Fault(**({"on": given[0]} if given else {}) | members)


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
        return dataclasses.asdict(self)


def _fits(pattern: str, value: str) -> bool:
    return not pattern or fnmatch.fnmatchcase(value, pattern)


def _is_given(value: object) -> bool:
    return value is not None and value is not False


def _check(fault: Fault) -> None:
    """Raise OptionError for a fault that cannot be."""
    _check_on(fault.on)
    given = [name for name in EFFECTS if _is_given(getattr(fault, name))]
    if len(given) > 1:
        raise refused("a fault", f"{given[0]} and {given[1]}", "one of them; make two faults of it")
    if not given and not fault.delay and fault.bandwidth is None:
        accepted = f"one of {', '.join(EFFECTS)}, or delay, or bandwidth"
        raise refused("a fault", "no effect", accepted)
    if fault.status is not None and fault.status not in {each.value for each in HTTPStatus}:
        raise refused("a fault's status", fault.status, "a status of HTTP, such as 503")
    if fault.answer not in ANSWERS:
        raise refused("a fault's answer", fault.answer, f"one of {', '.join(ANSWERS)}")
    if fault.status is None and (
        fault.body is not None or fault.retry_after is not None or fault.answer != "spec"
    ):
        raise refused("a fault", "a body, answer or retry_after alone", "its status too")
    _check_numbers(fault)
    _check_place("reset", fault.reset, (BEFORE, MIDDLE))
    _check_place("truncate", fault.truncate, (MIDDLE,))
    _check_headers(fault)


def _check_on(on: str) -> None:
    words = on.split()
    methods = [word for word in words if word in METHODS]
    routes = [word for word in words if word in ROUTES]
    if len(methods) > 1 or len(routes) > 1 or len(methods) + len(routes) < len(words):
        accepted = f"a method ({', '.join(METHODS)}), a route ({', '.join(ROUTES)}), or both"
        raise refused("what a fault is on", on, accepted)


def _check_numbers(fault: Fault) -> None:
    for name, least in (("nth", 1), ("times", 1), ("retry_after", 0), ("delay", 0)):
        value = getattr(fault, name)
        if value is not None and (not isinstance(value, int | float) or value < least):
            raise refused(f"a fault's {name}", value, f"a number of at least {least}")
    if fault.nth is not None and fault.times is not None:
        raise refused("a fault", "nth and times", "one of them")
    if fault.bandwidth is not None and fault.bandwidth <= 0:
        raise refused("a fault's bandwidth", fault.bandwidth, "more than 0 bytes per second")
    if not 0 < fault.probability <= 1:
        raise refused("a fault's probability", fault.probability, "more than 0, and 1 at most")
    if fault.content_length == 0:
        raise refused("a fault's content_length", 0, "the bytes by which it is wrong, such as -1")


def _check_place(name: str, value: str | int | None, words: tuple[str, ...]) -> None:
    if value is None or value in words or (isinstance(value, int) and value >= 0):
        return
    accepted = " or ".join(repr(word) for word in words)
    raise refused(f"a fault's {name}", value, f"{accepted}, or a number of bytes")


def _check_headers(fault: Fault) -> None:
    for name, value in fault.headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n]", value):
            raise refused("a fault's headers", {name: value}, "names and values of HTTP headers")


def refused(what: str, given: object, accepted: str) -> OptionError:
    """The error for something that a test asked for and that cannot be."""
    return OptionError(f"use {given!r} as {what}", "it cannot be carried out", f"give {accepted}")
