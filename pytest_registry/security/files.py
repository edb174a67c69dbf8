"""Files that hold secrets: of mode 0600 from their first byte, whole or not there at all."""

from __future__ import annotations

import os
import secrets
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
        raise _refused(f"write {path.name}", path.parent, error) from error


def secret_directory(path: Path) -> Path:
    """A directory that only this user enters, made where it is missing; raises StateError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(f"make the directory {path.name}", path.parent, error) from error
    return path


def _refused(asked: str, where: Path, error: OSError) -> StateError:
    return StateError(
        asked,
        f"{error.strerror or error} in {where}",
        "make room there, or choose another directory with --registry-state-dir",
    )
