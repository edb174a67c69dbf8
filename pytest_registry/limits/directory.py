"""Where the slots' files live: a directory per registry, 0700.

    BASE/HOST_PORT/pull/...    BASE/HOST_PORT/push/...

The base is the caller's: a run's own directory for a registry that only the run uses, the user's
state directory for one that all of their runs on this machine share. Files are never unlinked one
by one: unlinking a lock that is held admits a second holder (seen).
"""

from __future__ import annotations

import os
from pathlib import Path

from pytest_registry.errors import StateError
from pytest_registry.limits.slots import Slots
from pytest_registry.oci.reference import normal_registry
from pytest_registry.security.files import own_directory


class LimitWarning(UserWarning):
    """A limit that was asked for is not the one that applies."""

    def __str__(self) -> str:
        return f"{super().__str__()}\nDocs: python -m pytest_registry explain limit-stays"


def registry_directory(registry: str, base: Path) -> Path:
    """Make and check the directory of one registry (`HOST[:PORT]`); raises StateError."""
    root = private_directory(base)
    return private_directory(root / normal_registry(registry).replace(":", "_"))


def file_slots(registry: str, base: Path) -> Slots:
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
        "name a directory on a local file system with --registry-state-dir (or TMPDIR)",
        section="no-locks",
    )
