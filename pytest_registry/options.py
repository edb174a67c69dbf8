"""The one table of options: a flag, an environment variable and an ini value for each.

A value is taken from the command line, else the environment, else the ini file, else the default,
and keeps its source, so that an error can say where a bad value stands. Passwords are never flags
or ini values: both end up in process lists and in version control.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pytest

    from pytest_registry.errors import OptionError

DEFAULT = "the default"
"""The source of a value that nobody gave."""

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})

MOST_DIGITS = 9
"""Digits of a number; more are a slip of the hand."""


class Option(NamedTuple):
    """One row: `parse` makes a value of the text or raises ValueError with what is accepted."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    metavar: str = "VALUE"

    @property
    def flag(self) -> str:
        """The command line's name for it."""
        return f"--registry-{self.name.replace('_', '-')}"

    @property
    def env(self) -> str:
        """The environment's name for it."""
        return f"PYTEST_REGISTRY_{self.name.upper()}"

    @property
    def ini(self) -> str:
        """The ini file's name for it."""
        return f"registry_{self.name}"

    @property
    def is_switch(self) -> bool:
        """Whether the flag stands alone, without a value."""
        return self.parse is switch


class Value(NamedTuple):
    """A resolved option and where it came from, in words."""

    value: Any
    source: str


def text(given: str) -> str:
    """Take any text but an empty one."""
    if not given.strip():
        raise ValueError("a text that is not empty")
    return given.strip()


def image_name(given: str) -> str:
    """Take an image's name as the docker command does, or its id."""
    from pytest_registry.errors import InvalidReference
    from pytest_registry.oci.names import Reference

    try:
        Reference.parse(given.strip())
    except InvalidReference as error:
        raise ValueError(f"an image's name, [REGISTRY/]NAME[:TAG] ({error.happened})") from None
    return given.strip()


def registry_host(given: str) -> str:
    """Take a registry's host name as it stands in a reference."""
    from pytest_registry.oci.names import is_host

    if not is_host(given.strip()):
        raise ValueError("a registry's HOST[:PORT], without a scheme or path")
    return given.strip()


def registry_url(given: str) -> str:
    """Take the address of a registry that runs already, with a prefix for what is pushed there."""
    from urllib.parse import urlsplit

    from pytest_registry.oci.names import is_host, is_repository

    parts = urlsplit(given.strip())
    prefix = parts.path.strip("/")
    if (
        parts.scheme not in {"http", "https"}
        or not is_host(parts.netloc)
        or not (prefix == "" or is_repository(prefix))
        or parts.query
        or parts.fragment
    ):
        raise ValueError(
            "http or https://HOST[:PORT][/PREFIX] without a user name (it and the password are"
            " PYTEST_REGISTRY_USERNAME and PYTEST_REGISTRY_PASSWORD in the environment)"
        )
    return f"{parts.scheme}://{parts.netloc}/{prefix}".rstrip("/")


def limits_url(given: str) -> str:
    """Take the address of a Redis as the redis package does."""
    from urllib.parse import urlsplit

    if urlsplit(given.strip()).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("redis://HOST[:PORT][/DB], rediss://... for TLS, or unix://PATH")
    return given.strip()


def without_password(url: str) -> str:
    """An address as it may be shown; any other text is returned as it is."""
    import re

    return re.sub(r"(?<=://).*@|(?<=[?&]password=)[^&]*", "***@", url)


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
    return os.path.abspath(given.strip())  # noqa: PTH100 - pathlib is not imported for this


def one_of(*accepted: str) -> Callable[[str], str]:
    """Take one of the given words."""

    def choice(given: str) -> str:
        if given not in accepted:
            raise ValueError(f"one of {', '.join(accepted)}")
        return given

    return choice


OPTIONS: tuple[Option, ...] = (
    Option(
        "engine",
        one_of("auto", "container", "embedded", "external"),
        "auto",
        "What serves the registry: a container on a Docker or Podman engine; the embedded server;"
        " external, one that runs already (--registry-url); or, with auto, a container where an"
        " engine answers and has or can pull the image.",
        "ENGINE",
    ),
    Option(
        "url",
        registry_url,
        None,
        "A registry that runs already, to be used below a prefix of the run's own. User name and"
        " password come from PYTEST_REGISTRY_USERNAME and PYTEST_REGISTRY_PASSWORD, or from your"
        " Docker config.",
        "https://HOST[:PORT][/PREFIX]",
    ),
    Option(
        "auth",
        one_of("none", "basic", "bearer"),
        "basic",
        "How one logs in: not at all, by user name and password, or by bearer tokens.",
        "WAY",
    ),
    Option(
        "tls",
        one_of("off", "on", "mutual"),
        "off",
        "Whether the registry speaks TLS, by certificates of the run's own, and whether clients"
        " need one too (needs the extra pytest-registry[tls]).",
        "MODE",
    ),
    Option("token_lifetime", seconds, 300.0, "How long a bearer token is taken for.", "SECONDS"),
    Option("image", image_name, "registry:3", "The registry image that a container runs.", "IMAGE"),
    Option("sample_image", image_name, "nginx", "The image that the nginx fixtures push.", "IMAGE"),
    Option(
        "upstream",
        registry_host,
        "docker.io",
        "The registry, or mirror, that images come from which the engine does not have.",
        "HOST[:PORT]",
    ),
    Option(
        "start_timeout",
        seconds,
        60.0,
        "How long the registry may take until it answers, its image's pull not counted.",
        "SECONDS",
    ),
    Option(
        "pull_limit",
        limit,
        10,
        "How many pulls may run at once per registry, over all workers; 0 or none: unlimited.",
        "COUNT",
    ),
    Option(
        "push_limit",
        limit,
        5,
        "How many pushes may run at once per registry, over all workers; 0 or none: unlimited.",
        "COUNT",
    ),
    Option(
        "slot_timeout",
        seconds,
        300.0,
        "How long a pull or push may wait for its slot.",
        "SECONDS",
    ),
    Option(
        "limits_url",
        limits_url,
        None,
        "A Redis that keeps the limits for all machines that use the same --registry-url"
        " (pytest-registry[redis]); a password only in the environment.",
        "redis://HOST[:PORT]",
    ),
    Option(
        "limits_lease",
        seconds,
        10.0,
        "How long a slot outlives a machine that died, and a pull or push a Redis that does not"
        " answer; the first machine's value counts for all.",
        "SECONDS",
    ),
    Option(
        "gateway",
        switch,
        False,
        "Put our gateway before a container or external registry, so that faults, throttling and"
        " the log of requests work there too; the embedded registry needs none.",
    ),
    Option(
        "throttle",
        one_of("strict", "azure-basic", "azure-standard", "azure-premium"),
        None,
        "Answer 429 to one request too many: strict, to who exceeds the run's limits without"
        " taking slots; azure-basic, -standard, -premium, as Azure Container Registry does.",
        "PRESET",
    ),
    Option(
        "report",
        report_path,
        None,
        "Write a page with a picture of the run's pulls and pushes there, and JSON beside it.",
        "PATH.html",
    ),
    Option(
        "storage",
        one_of("disk", "memory"),
        "disk",
        "Where the embedded registry keeps content: the run's directory, or its memory.",
        "WHERE",
    ),
    Option(
        "keep", switch, False, "Leave the registry running after the run and say how to use it."
    ),
    Option("reuse", switch, False, "Attach to a registry that an earlier run kept."),
    Option(
        "state_dir",
        text,
        None,
        "Where runs keep their state (default: a directory of the user's in the system's temporary"
        " directory).",
        "DIR",
    ),
)


def register(parser: pytest.Parser) -> None:
    """Add every option to pytest's command line and ini file."""
    group = parser.getgroup("registry", "an OCI registry for the run (pytest-registry)")
    for option in OPTIONS:
        if option.is_switch:
            group.addoption(option.flag, action="store_const", const="1", help=_help(option))
        else:
            group.addoption(option.flag, metavar=option.metavar, help=_help(option))
        parser.addini(option.ini, _help(option), type="string", default=None)


def resolve(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> dict[str, Value]:
    """Every option's value with its source; raises OptionError for a value that is not accepted."""
    values = {option.name: _resolve(option, config, environ) for option in OPTIONS}
    return _together(values)


def error() -> type[OptionError]:
    """What `resolve` raises; an `except` clause asks for it, and imports it, only if it must."""
    from pytest_registry.errors import OptionError

    return OptionError


def _together(values: dict[str, Value]) -> dict[str, Value]:
    """See that the values can be together; a URL chooses the engine external."""
    engine, url, limits = values["engine"], values["url"], values["limits_url"]
    if url.value is not None and engine.value == "auto":
        values["engine"] = Value("external", url.source)
    elif url.value is not None and engine.value != "external":
        raise error()(
            f"use the registry at {url.value}",
            f"{url.source} names it, but {engine.source} asks for the engine {engine.value}",
            "leave one of them out, or give --registry-engine=external",
        )
    elif url.value is None and engine.value == "external":
        raise error()(
            "use a registry that runs already",
            f"{engine.source} asks for the engine external, but nothing says where it is",
            "give --registry-url https://HOST[:PORT][/PREFIX]",
        )
    shown = without_password(limits.value or "")
    if shown != (limits.value or "") and "environment" not in limits.source:
        raise error()(
            f"take the password for {shown} from {limits.source}",
            "it would be seen in lists of processes, or be kept under version control",
            "give the address by the environment's PYTEST_REGISTRY_LIMITS_URL",
        )
    return values


def _resolve(option: Option, config: pytest.Config, environ: Mapping[str, str]) -> Value:
    candidates = (
        (config.getoption(option.flag), f"the command line's {option.flag}"),
        (environ.get(option.env), f"the environment's {option.env}"),
        (config.getini(option.ini), f"the ini file's {option.ini}"),
    )
    for given, source in candidates:
        if given is not None:
            return Value(parse(option, given, source), source)
    return Value(option.default, DEFAULT)


def parse(option: Option, given: str, source: str) -> Any:
    """The option's value for a text; raises OptionError with where it came from."""
    try:
        return option.parse(given)
    except ValueError as accepted:
        raise error()(
            f"use {without_password(given)!r} as the registry's {option.name}",
            f"it came from {source}, which takes {accepted}",
            "give another value there, or leave it out"
            + ("" if option.default is None else f" for {option.default!r}"),
        ) from None


def _help(option: Option) -> str:
    if option.default is None or option.is_switch:
        return option.help
    shown = f"{option.default:g}" if isinstance(option.default, float) else option.default
    return f"{option.help} Default: {shown}."
