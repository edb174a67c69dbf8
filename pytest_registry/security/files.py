"""What only this user may read: files (0600, whole or not there at all) and directories (0700)."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from pytest_registry.errors import StateError


def write_secret(path: Path, content: str | bytes) -> Path:
    """Write a file that only this user reads, replacing any (by rename); raises StateError."""
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(data)
        return part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise cannot_write(f"write {path.name}", path.parent, error) from error


def read_lines(path: Path) -> list[str]:
    """A file's lines; none where there is no file."""
    try:
        return path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def secret_directory(path: Path) -> Path:
    """A directory that only this user enters, made where it is missing; raises StateError.

    So it does where the one above is gone: a run's ends with the run, and must not come back.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise cannot_write(f"make the directory {path.name}", path.parent, error) from error
    return path


def own_directory(path: Path, *, narrow: bool = False) -> Path:
    """A directory that is this user's alone, made where it is missing.

    For places where anybody may have made one of that name before, as in a shared temporary
    directory. One that is the user's but open to others is closed if `narrow`. Raises OSError,
    whose `strerror` says why it is not to be trusted. Where directories have no owners (Windows)
    neither owner nor mode is looked at.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise _distrusted("it is a symbolic link", path)
    if not hasattr(os, "geteuid"):
        return path
    if status.st_uid != os.geteuid():
        raise _distrusted(f"it belongs to the user with id {status.st_uid}", path)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 and not narrow:
        raise _distrusted(f"others may enter it (mode {mode:o})", path)
    if mode & 0o077:
        path.chmod(0o700)
    return path


def shared_directory(path: Path) -> Path:
    """A directory to make our own in: made (0700) where it is missing, else left as it is.

    Raises OSError, whose `strerror` says why, where somebody else could put another directory in
    ours' place: who owns it, or may write to it while no sticky bit guards what others have there.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(os, "geteuid"):
        return path
    status = path.stat()
    for owner in (path.lstat().st_uid, status.st_uid):  # whose link it is decides where it leads
        if owner not in (0, os.geteuid()):
            raise _distrusted(f"it belongs to the user with id {owner}", path)
    if _others_replace_in(status):
        mode = stat.S_IMODE(status.st_mode)
        raise _distrusted(f"others may replace what is in it (mode {mode:o})", path)
    return path


def _others_replace_in(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_ISVTX:
        return False
    by_group = status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
    return bool(by_group or status.st_mode & stat.S_IWOTH)


def _is_own_group(group: int) -> bool:
    """Whether this user is alone in it: where each has a group of that name, umask is often 002."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}


def _distrusted(why: str, path: Path) -> OSError:
    return OSError(errno.EPERM, why, str(path))


def cannot_write(asked: str, where: Path, error: OSError) -> StateError:
    """What to raise where a file or directory of ours cannot be made in `where`."""
    return StateError(
        asked,
        f"{error.strerror or error} in {where}",
        "make room there, or choose another directory with --registry-state-dir",
        section="cannot-write",
    )
