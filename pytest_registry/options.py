"""The one table of options: a flag, an environment variable and an ini value for each.

What their values may be, and which one counts, stands in values.py: a run that was given none does
not load it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


PREFIX = "PYTEST_REGISTRY_"
"""What every environment variable of ours begins with."""

ACCOUNT = (f"{PREFIX}USERNAME", f"{PREFIX}PASSWORD")
"""The variables that are no option's: passwords are never flags or ini values."""

LONGEST_LEASE = 30.0
"""Seconds that a machine may ask for as its `limits_lease`.

A Redis that forgot everything lets nobody in for so long, whatever its first user asks for: another
one may hold a slot for that time without hearing of it.
"""


class Option:
    """One row. `kind` is the name of a function in values.py, or the words that are accepted.

    `flag`, `env` and `ini` are the command line's, the environment's and the ini file's names for
    it. `is_switch`: its flag stands alone, without a value.
    """

    # Written out: a NamedTuple or a dataclass takes longer to make than all rows of the table.
    def __init__(
        self,
        name: str,
        kind: str | tuple[str, ...],
        default: Any,
        explanation: str,
        metavar: str = "VALUE",
    ) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.help = explanation
        self.metavar = metavar
        self.flag = f"--registry-{name.replace('_', '-')}"
        self.env = f"{PREFIX}{name.upper()}"
        self.ini = f"registry_{name}"
        self.is_switch = kind == "switch"

    @property
    def default_shown(self) -> str:
        """The default in words; empty where there is none, and where it is off."""
        if self.default is None or self.is_switch:
            return ""
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


OPTIONS: tuple[Option, ...] = (
    Option(
        "engine",
        ("auto", "container", "embedded", "external"),
        "auto",
        "What serves the registry: a container on a Docker or Podman engine; the embedded server;"
        " external, one that runs already (--registry-url); or, with auto, a container where an"
        " engine answers and has or can pull the image.",
        "ENGINE",
    ),
    Option(
        "url",
        "registry_url",
        None,
        "A registry that runs already, to be used below a prefix of the run's own. User name and"
        " password come from PYTEST_REGISTRY_USERNAME and PYTEST_REGISTRY_PASSWORD, or from your"
        " own login (Docker config, podman's auth.json).",
        "https://HOST[:PORT][/PREFIX]",
    ),
    Option(
        "auth",
        ("none", "basic", "bearer"),
        "basic",
        "How one logs in: not at all, by user name and password, or by bearer tokens.",
        "WAY",
    ),
    Option(
        "tls",
        ("off", "on", "mutual"),
        "off",
        "Whether the registry speaks TLS, by certificates of the run's own, and whether clients"
        " need one too (needs the extra pytest-registry[tls]).",
        "MODE",
    ),
    Option("token_lifetime", "seconds", 300.0, "How long a bearer token is taken for.", "SECONDS"),
    Option(
        "image", "image_name", "registry:3", "The registry image that a container runs.", "IMAGE"
    ),
    Option(
        "sample_image", "image_name", "nginx", "The image that the nginx fixtures push.", "IMAGE"
    ),
    Option(
        "upstream",
        "registry_host",
        "docker.io",
        "The registry, or mirror, that images come from which the engine does not have.",
        "HOST[:PORT]",
    ),
    Option(
        "start_timeout",
        "seconds",
        60.0,
        "How long the registry may take until it answers, its image's pull not counted.",
        "SECONDS",
    ),
    Option(
        "pull_limit",
        "limit",
        10,
        "How many pulls may run at once per registry, over all workers; 0 or none: unlimited.",
        "COUNT",
    ),
    Option(
        "push_limit",
        "limit",
        5,
        "How many pushes may run at once per registry, over all workers; 0 or none: unlimited.",
        "COUNT",
    ),
    Option(
        "slot_timeout",
        "seconds",
        300.0,
        "How long a pull or push may wait for its slot.",
        "SECONDS",
    ),
    Option(
        "limits_url",
        "limits_url",
        None,
        "A Redis that keeps the limits for all machines that use the same --registry-url"
        " (pytest-registry[redis]); a password only in the environment.",
        "redis://HOST[:PORT]",
    ),
    Option(
        "limits_lease",
        "lease",
        10.0,
        "How long a slot outlives a machine of this run that died, and a pull or push a Redis that"
        f" does not answer; at most {LONGEST_LEASE:g}.",
        "SECONDS",
    ),
    Option(
        "gateway",
        "switch",
        False,
        "Put our gateway before a container or external registry, so that faults, throttling and"
        " the log of requests work there too; the embedded registry needs none.",
    ),
    Option(
        "throttle",
        ("strict", "azure-basic", "azure-standard", "azure-premium"),
        None,
        "Answer 429 to one request too many: strict, to who exceeds the run's limits without"
        " taking slots; azure-basic, -standard, -premium, as Azure Container Registry does.",
        "PRESET",
    ),
    Option(
        "report",
        "report_path",
        None,
        "Write a page with a picture of the run's pulls and pushes there, and JSON beside it.",
        "PATH.html",
    ),
    Option(
        "storage",
        ("disk", "memory"),
        "disk",
        "Where the embedded registry keeps content: the run's directory, or its memory.",
        "WHERE",
    ),
    Option(
        "keep", "switch", False, "Leave the registry running after the run and say how to use it."
    ),
    Option("reuse", "switch", False, "Attach to a registry that an earlier run kept."),
    Option(
        "state_dir",
        "directory",
        None,
        "Where runs keep their state, in a directory of the user's that is made there (default: in"
        " the system's temporary directory).",
        "DIR",
    ),
)


def register(parser: pytest.Parser) -> None:
    """Add every option to pytest's command line and ini file."""
    group = parser.getgroup("registry", "an OCI registry for the run (pytest-registry)")
    for option in OPTIONS:
        shown = _help(option)
        takes = {"metavar": option.metavar}
        if option.is_switch:
            takes = {"action": "store_const", "const": "1"}
        # Without a `dest`, pytest would compare its own with those of all options there are.
        group.addoption(option.flag, dest=option.ini, help=shown, **takes)
        parser.addini(option.ini, shown, type="string", default=None)


def any_given(config: pytest.Config) -> bool:
    """Whether an option has a value, or seems to: it may be a wrong one; see values.py."""
    # A pass over the environment finds misspelt names too, in the time of a look-up per option.
    return any(name.startswith(PREFIX) for name in os.environ) or any(
        config.getoption(option.flag) is not None or config.getini(option.ini) is not None
        for option in OPTIONS
    )


def _help(option: Option) -> str:
    shown = option.default_shown
    return f"{option.help} Default: {shown}." if shown else option.help
