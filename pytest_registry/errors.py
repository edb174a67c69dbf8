"""The one tree of errors that users of the plugin meet.

Each says what was asked, what happened and what to do, keeps these as attributes, and survives
pickling (xdist sends errors from a worker to the controller). No message ever holds a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RegistryError(Exception):
    """Something that was asked of a registry did not happen.

    `asked` completes "could not ..."; `happened` says why not; `remedy` what the reader can do;
    `log` holds the registry's last log lines, oldest first, where they help. `section` names the
    part of the documentation's page "Troubleshooting" that has these words: the kind's own where
    none is given, empty where the kind has none.
    """

    section = ""

    def __init__(
        self,
        asked: str,
        happened: str,
        remedy: str = "",
        *,
        section: str = "",
        log: Sequence[str] = (),
    ) -> None:
        super().__init__(asked, happened, remedy)
        self.asked = asked
        self.happened = happened
        self.remedy = remedy
        if section:
            self.section = section
        self.log = tuple(log)

    def __str__(self) -> str:
        lines = [f"could not {self.asked}: {self.happened}"]
        if self.remedy:
            lines.append(f"What to do: {self.remedy}")
        if self.section:
            lines.append(f"Docs: python -m pytest_registry explain {self.section}")
        if self.log:
            lines.append("The registry's last log lines:")
            lines.extend(f"  {line}" for line in self.log)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (type(self), self.args, dict(self.__dict__))


def rebuilt(
    kind: type[RegistryError], args: tuple[str, ...], state: dict[str, Any]
) -> RegistryError:
    """Make an error again from its parts, without calling a subclass's own `__init__`."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class OptionError(RegistryError, ValueError):
    """An option, environment variable, ini value or marker argument is not acceptable."""

    section = "option"


class InvalidReference(RegistryError, ValueError):
    """A repository, tag, digest or reference does not follow the specification's grammar."""

    section = "bad-name"


class EngineUnavailable(RegistryError):
    """The chosen engine cannot be used here (no daemon answers, its image is not to be had)."""

    section = "no-container-engine"


class StartError(RegistryError):
    """A registry, or a container of a pushed image, was started but never answered as it should."""

    section = "no-start"


class RegistryEnded(RegistryError):
    """The run's registry ended while it was still needed."""

    section = "registry-ended"


class StateError(RegistryError):
    """The run's state directory cannot be trusted or cannot be written."""

    section = "state-directory"


class AuthenticationFailed(RegistryError):
    """The registry refused the credentials or the account lacks the right."""

    section = "login-refused"


class TransferError(RegistryError):
    """A push, pull or copy failed."""

    section = "transfer-failed"


class PushError(TransferError):
    """A push failed."""


class PullError(TransferError):
    """A pull failed."""


class ImageNotFound(TransferError):
    """No such image in the engine, in the upstream registry, or in the registry itself."""

    section = "no-such-image"


class RateLimited(TransferError):
    """A registry answered 429 (too many requests).

    `retry_after` is in seconds, None where the registry did not say.
    """

    section = "too-many-requests"

    def __init__(
        self,
        asked: str,
        happened: str,
        remedy: str = "",
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(asked, happened, remedy)
        self.retry_after = retry_after


class ProtocolError(TransferError):
    """A registry answered in a way that the distribution specification does not allow.

    `status` is the HTTP status, or None where no answer came; `codes` are the error codes of the
    answer's JSON body (distribution-spec, "Error Codes").
    """

    section = "bad-answer"

    def __init__(
        self,
        asked: str,
        happened: str,
        remedy: str = "",
        *,
        section: str = "",
        status: int | None = None,
        codes: Sequence[str] = (),
    ) -> None:
        super().__init__(asked, happened, remedy, section=section)
        self.status = status
        self.codes = tuple(codes)


class SlotTimeout(RegistryError):
    """No slot came free in time. `holders` describes who held them when waiting ended."""

    section = "no-slot"

    def __init__(
        self, asked: str, happened: str, remedy: str = "", *, holders: Sequence[str] = ()
    ) -> None:
        super().__init__(asked, happened, remedy)
        self.holders = tuple(holders)


class SlotLost(RegistryError):
    """The right to a slot ended while its operation still ran: others may have been let in."""

    section = "slot-lost"


class Unsupported(RegistryError):
    """The engine or registry in use cannot do this; the message names one that can."""

    section = "not-supported"
