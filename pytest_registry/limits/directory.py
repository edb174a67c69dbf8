"""Where the slots' files live: a directory per user, machine and registry, 0700.

    BASE/HOST_PORT/pull/...    BASE/HOST_PORT/push/...

The base is the caller's (a run's own directory for a registry that only the run uses), or the
user's own one for all runs of this machine. Files are never unlinked one by one: unlinking a lock
that is held admits a second holder (seen).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pytest_registry.errors import StateError
from pytest_registry.limits.slots import Slots
from pytest_registry.oci.reference import normal_registry
from pytest_registry.security.files import own_directory


class LimitWarning(UserWarning):
    """A limit that was asked for is not the one that applies."""


def default_base() -> Path:
    """The user's directory for all runs on this machine, gone at the latest with the boot.

    A process that was started without XDG_RUNTIME_DIR, or with another TMPDIR, comes to another
    directory and so shares no limits with the rest: give both the same environment.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "pytest-registry"
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"pytest-registry{user}"


def registry_directory(registry: str, base: Path | None = None) -> Path:
    """Make and check the directory of one registry (`HOST[:PORT]`); raises StateError."""
    root = private_directory(default_base() if base is None else base)
    return private_directory(root / normal_registry(registry).replace(":", "_"))


def file_slots(registry: str, base: Path | None = None) -> Slots:
    """The slots of a registry (`HOST[:PORT]`) on this machine, by the best means that it has.

    Raises StateError where the directory cannot be trusted.
    """
    directory = registry_directory(registry, base)
    if not hasattr(os, "mkfifo"):
        from pytest_registry.limits.polled import PolledSlots

        return PolledSlots(directory)
    from pytest_registry.limits.ring import RingSlots

    return RingSlots(directory)


def private_directory(path: Path) -> Path:
    """Make `path` with mode 0700, or see that it is the user's alone; raises StateError.

    Its parent is there, or the run is over: who outlives it must not make its directory anew.
    """
    try:
        return own_directory(path)
    except OSError as error:
        raise StateError(
            f"use {path} for the registry's limits",
            error.strerror or str(error),
            "remove it, or give it to the user who runs the tests with mode 700",
        ) from error


def no_real_locks(directory: Path, error: OSError) -> StateError:
    """What to raise where a file system has no locks: a soft lock would not survive a crash."""
    return StateError(
        f"lock files in {directory}",
        f"its file system has no working locks ({error})",
        "let XDG_RUNTIME_DIR or TMPDIR name a directory on a local file system",
        section="no-locks",
    )
