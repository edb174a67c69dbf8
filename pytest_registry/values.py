"""Which value of an option counts, and what it may be.

A value is taken from the command line, else the environment (an empty variable is none), else the
ini file, else the default, and keeps its source, so that an error can say where a bad value stands.
Passwords are never flags or ini values: both end up in process lists and in version control.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_registry.options import ACCOUNT, LONGEST_LEASE, OPTIONS, PREFIX, Option

if TYPE_CHECKING:
    import pytest

    from pytest_registry.errors import OptionError

DEFAULT = "the default"
"""The source of a value that nobody gave."""

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})

PATHS = ("report_path", "directory")
"""The kinds of values that are paths."""

MOST_DIGITS = 9
"""Digits of a number; more are a slip of the hand."""


class Value(NamedTuple):
    """A resolved option and where it came from, in words."""

    value: Any
    source: str


def resolve(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> dict[str, Value]:
    """Every option's value with its source.

    Raises OptionError for a value that is not accepted, and for a variable that is no option's.
    """
    _check_names(environ)
    values = {option.name: _resolve(option, config, environ) for option in OPTIONS}
    return together(values)


def parse(option: Option, given: str, source: str) -> Any:
    """The option's value for a text; raises OptionError with where it came from."""
    try:
        return accept(option, given)
    except ValueError as accepted:
        shown = given if option.kind in PATHS else without_password(given)
        raise refusal(option, shown, source, str(accepted)) from None


def refusal(option: Option, given: object, source: str, accepted: str) -> OptionError:
    """The error for a value that an option does not take; `accepted` says what it takes."""
    default = f" for {option.default_shown}" if option.default_shown else ""
    return _error(
        f"use {given!r} as the registry's {option.name}",
        f"it came from {source}, which takes {accepted}",
        f"give another value there, or leave it out{default}",
    )


def in_words(option: Option) -> str:
    """What a value of the option is that is given in Python."""
    if isinstance(option.kind, tuple):
        return f"one of {', '.join(option.kind)}"
    return "True or False" if option.is_switch else option.metavar


def accept(option: Option, given: str) -> Any:
    """The option's value for a text; raises ValueError with what is accepted."""
    if isinstance(option.kind, tuple):
        return one_of(given, option.kind)
    return KINDS[option.kind](given)


def _check_names(environ: Mapping[str, str]) -> None:
    known = (*(option.env for option in OPTIONS), *ACCOUNT)
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            from difflib import get_close_matches

            ends = [each.removeprefix(PREFIX) for each in known]
            near = get_close_matches(name.removeprefix(PREFIX).upper(), ends, 1)
            raise _error(
                f"use the environment's {name}",
                "there is no such option",
                f"write {PREFIX}{near[0]}, or unset it" if near else "unset it",
            )


def _resolve(option: Option, config: pytest.Config, environ: Mapping[str, str]) -> Value:
    candidates = (
        (config.getoption(option.flag), f"the command line's {option.flag}"),
        # An empty one is what CI makes of a secret that a fork does not have.
        (environ.get(option.env) or None, f"the environment's {option.env}"),
        (config.getini(option.ini), f"the ini file's {option.ini}"),
    )
    for given, source in candidates:
        if given is not None:
            value = parse(option, given, source)
            if option.kind in PATHS:
                # As seen from where pytest began: a test may have gone elsewhere before it asks.
                path = config.invocation_params.dir / Path(given.strip()).expanduser()
                value = os.path.abspath(path)  # noqa: PTH100 - resolves no links
            return Value(value, source)
    return Value(option.default, DEFAULT)


def together(values: dict[str, Value]) -> dict[str, Value]:
    """See that the values can be together; a URL chooses the engine external.

    Raises OptionError.
    """
    engine, url, limits = values["engine"], values["url"], values["limits_url"]
    if url.value is not None and engine.value == "auto":
        values["engine"] = Value("external", url.source)
    elif url.value is not None and engine.value != "external":
        raise _error(
            f"use the registry at {url.value}",
            f"{url.source} names it, but {engine.source} asks for the engine {engine.value}",
            "leave one of them out, or give --registry-engine=external",
        )
    elif url.value is None and engine.value == "external":
        from pytest_registry.errors import OptionError

        raise OptionError(
            "use a registry that runs already",
            f"{engine.source} asks for the engine external, but nothing says where it is",
            "give --registry-url https://HOST[:PORT][/PREFIX]",
            section="no-address",
        )
    shown = without_password(limits.value or "")
    if shown != (limits.value or "") and "environment" not in limits.source:
        raise _error(
            f"take the password for {shown} from {limits.source}",
            "it would be seen in lists of processes, or be kept under version control",
            "give the address by the environment's PYTEST_REGISTRY_LIMITS_URL",
        )
    return values


def _error(asked: str, happened: str, remedy: str) -> OptionError:
    """An error, whose module is imported only if there is one: most values are fine."""
    from pytest_registry.errors import OptionError

    return OptionError(asked, happened, remedy)


def without_password(url: str) -> str:
    """An address as it may be shown, whether it has its scheme or lacks it by mistake.

    All before the last @ goes, but for one that begins a digest; other texts stay as they are.
    """
    shown = re.sub(r"(?s)^(\s*[\w+.-]+://)?.*@(?!sha\d+:)", r"\1***@", url)
    return re.sub(r"(?<=[?&]password=)[^&]*|(?<=[?&]ssl_password=)[^&]*", "***", shown)


# The kinds of values that the table names: each raises ValueError with what is accepted.


def image_name(given: str) -> str:
    """Take an image's name as the docker command does, or its id."""
    from pytest_registry.errors import InvalidReference
    from pytest_registry.oci.reference import Reference

    try:
        Reference.parse(given.strip())
    except InvalidReference as error:
        raise ValueError(f"an image's name, [REGISTRY/]NAME[:TAG] ({error.happened})") from None
    return given.strip()


def registry_host(given: str) -> str:
    """Take a registry's host name as it stands in a reference."""
    from pytest_registry.oci.reference import is_host

    if not is_host(given.strip()):
        raise ValueError("a registry's HOST[:PORT], without a scheme or path")
    return given.strip()


def registry_url(given: str) -> str:
    """Take the address of a registry that runs already, with a prefix for what is pushed there."""
    from pytest_registry.oci.names import is_repository
    from pytest_registry.oci.reference import is_host, split_address

    accepted = ValueError(
        "http or https://HOST[:PORT][/PREFIX] without a user name (it and the password are"
        " PYTEST_REGISTRY_USERNAME and PYTEST_REGISTRY_PASSWORD in the environment)"
    )
    try:
        parts = split_address(given.strip())
    except ValueError:
        raise accepted from None
    prefix = parts.path.strip("/")
    if (
        parts.scheme not in {"http", "https"}
        or not is_host(parts.netloc)
        or not (prefix == "" or is_repository(prefix))
        or parts.query
        or parts.fragment
    ):
        raise accepted
    return f"{parts.scheme}://{parts.netloc}/{prefix}".rstrip("/")


def limits_url(given: str) -> str:
    """Take the address of a Redis as the redis package does."""
    from pytest_registry.oci.reference import split_address

    accepted = (
        "redis://HOST[:PORT][/DB], rediss://... for TLS, or unix://PATH; in a password / # ? @ [ ]"
        " are percent-encoded"
    )
    try:
        parts = split_address(given.strip())
    except ValueError:
        raise ValueError(accepted) from None
    # One after the host is mostly the end of a password that holds what ends a host.
    misplaced = "@" in f"{parts.path}{parts.query}{parts.fragment}"
    if misplaced or parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(accepted)
    return given.strip()


def switch(given: str) -> bool:
    """Take yes or no in the usual spellings."""
    lowered = given.strip().lower()
    if lowered not in TRUE | FALSE:
        raise ValueError("one of 1, true, yes, on, 0, false, no, off")
    return lowered in TRUE


def seconds(given: str) -> float:
    """Take a positive, finite number of seconds."""
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("a positive number of seconds")
    return value


def lease(given: str) -> float:
    """Take a number of seconds that is not above the longest lease."""
    accepted = f"a positive number of seconds, at most {LONGEST_LEASE:g}"
    try:
        value = seconds(given)
    except ValueError:
        raise ValueError(accepted) from None
    if value > LONGEST_LEASE:
        raise ValueError(accepted)
    return value


def limit(given: str) -> int | None:
    """Take a number of operations; 0 or `none` is unlimited."""
    lowered = given.strip().lower()
    if lowered == "none":
        return None
    if not lowered.isdecimal() or len(lowered) > MOST_DIGITS:
        raise ValueError("a whole number of at least 1, or 0 or none for unlimited")
    return int(lowered) or None


def report_path(given: str) -> str:
    """Take the path of a page; it is absolute from here on, for every process."""
    if not given.strip().endswith(".html"):
        raise ValueError("a path that ends in .html")
    return os.path.abspath(given.strip())  # noqa: PTH100 - resolves no links


def directory(given: str) -> str:
    """Take the path of a directory; it is absolute from here on, for every process."""
    if not given.strip():
        raise ValueError("the path of a directory")
    return os.path.abspath(os.path.expanduser(given.strip()))  # noqa: PTH100, PTH111 - as above


def one_of(given: str, accepted: tuple[str, ...]) -> str:
    """Take one of the accepted words."""
    if given not in accepted:
        raise ValueError(f"one of {', '.join(accepted)}")
    return given


KINDS = {
    kind.__name__: kind
    for kind in (
        *(image_name, registry_host, registry_url, limits_url, switch, seconds, limit),
        *(lease, report_path, directory),
    )
}
