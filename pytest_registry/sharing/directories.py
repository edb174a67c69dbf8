"""Where runs keep their state: below one directory that is the user's alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pytest_registry.errors import StateError
from pytest_registry.security.files import own_directory, shared_directory


def state_directory(path: Path) -> Path:
    """A state directory of the user's, made where it is missing; raises StateError if not trusted.

    It holds credentials and lock files, so it must be a real directory of this user, closed to
    everybody else. In a shared temporary directory anybody could have made one of that name before.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    return private_directory(path)


def state_path(chosen: str | None) -> Path:
    """Where the user's state directory is, or would be, for this process.

    Below the chosen directory as below the temporary one it has a name of our own: whatever else is
    there is not ours to close or to remove. Another process may have another temporary directory:
    a run's processes are told its directory.
    """
    return Path(tempfile.gettempdir() if chosen is None else chosen) / f"pytest-registry-{_user()}"


def check_chosen(chosen: str | None) -> None:
    """Make the directory that was chosen, or see that ours is safe there; raises StateError.

    The system's temporary directory is what it is: there only our own is looked at.
    """
    if chosen is None:
        return
    try:
        shared_directory(Path(chosen))
    except OSError as error:
        raise _refused(Path(chosen), error.strerror or str(error)) from error


def private_directory(path: Path) -> Path:
    """`path` as a directory of mode 0700 that this user owns; raises StateError."""
    try:
        return own_directory(path, narrow=True)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error


def _user() -> str:
    if os.name == "posix":
        return str(os.getuid())
    import getpass

    return getpass.getuser()


def _refused(path: Path, happened: str) -> StateError:
    return StateError(
        f"use {path} as the registry's state directory",
        happened,
        "remove it if it is yours and of no other use, or choose another directory, as one that is"
        " not there yet, with --registry-state-dir or PYTEST_REGISTRY_STATE_DIR",
    )
