"""One run: its name, its owner, and the files in its directory."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_registry.errors import StateError
from pytest_registry.security.files import cannot_write, write_secret
from pytest_registry.settings import Settings
from pytest_registry.sharing.directories import (
    check_chosen,
    private_directory,
    state_directory,
    state_path,
)
from pytest_registry.sharing.liveness import Lifeline

TRIES = 10

NAME = re.compile(r"[0-9]+-[0-9a-f]{12}|\.[0-9]+-[0-9a-f]{12}-[0-9]+")
"""How a run's directory is called, and while it is made: `Run.planned` and `Run.unborn`."""

PATHS = ("directory", "life", "start")
"""The members of a run that are paths."""

LABEL_RUN = "pytest-registry.run"
LABEL_MACHINE = "pytest-registry.machine"
LABEL_OWNER = "pytest-registry.owner"
LABEL_DIRECTORY = "pytest-registry.directory"


@dataclass(frozen=True, slots=True)
class Run:
    """One pytest invocation with all its workers; plain data that goes to every process of it.

    `machine` tells hosts (and their boots) apart: a worker on another host shares no files. `life`
    is the lock that the owner holds as long as the run lives, `start` the one under which the
    registry is started.
    """

    id: str
    directory: Path
    settings: Settings
    machine: str
    life: Path
    start: Path

    @classmethod
    def planned(
        cls, settings: Settings, *, life: Path | None = None, start: Path | None = None
    ) -> Run:
        """A new run of this process, of which nothing is there yet.

        Where no locks are given they are to lie in its directory.
        """
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        directory = runs_path(settings) / name
        return cls(
            name,
            directory,
            settings,
            this_machine(),
            directory / "life.lock" if life is None else life,
            directory / "start.lock" if start is None else start,
        )

    @property
    def is_there(self) -> bool:
        """Whether the run's directory is there, and this user's: its name is no secret."""
        try:
            status = self.directory.lstat()
        except OSError:
            return False
        return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()

    def make(self) -> None:
        """Make the run's directory (0700); it gets its name when it is whole. Raises StateError."""
        with self._making():
            pass

    def make_with_life(self) -> Lifeline:
        """Make it around the run's life, held before it has its name: nobody may sweep it away."""
        with self._making() as unborn:
            return Lifeline(unborn / self.life.name)

    @contextlib.contextmanager
    def _making(self) -> Iterator[Path]:
        unborn = self._begin()
        try:
            write_secret(unborn / "run.json", json.dumps(self.to_json()))
            yield unborn
            unborn.rename(self.directory)
        except (StateError, OSError) as error:
            self.remove_unborn(unborn)
            if isinstance(error, OSError):
                asked = f"make the run's directory {self.directory.name}"
                raise cannot_write(asked, self.directory.parent, error) from error
            raise

    def _begin(self) -> Path:
        unborn = self.unborn(os.getpid())
        for tries_left in reversed(range(TRIES)):
            try:
                check_chosen(self.settings.state_dir)
                private_runs(unborn.parent)
                return private_directory(unborn)
            except StateError as error:
                # The last run to end removes the empty directories above it, perhaps just now.
                if not (tries_left and isinstance(error.__cause__, FileNotFoundError)):
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def unborn(self, maker: int) -> Path:
        """The run's directory while the process with that id makes it."""
        return self.directory.with_name(f".{self.id}-{maker}")

    def remove_unborn(self, unborn: Path) -> None:
        """Remove what was made of a directory that came to nothing; nothing where others own it."""
        with contextlib.suppress(StateError):
            runs = private_runs(unborn.parent)
            shutil.rmtree(unborn, ignore_errors=True)
            remove_if_empty(runs)

    @classmethod
    def read(cls, directory: Path) -> Run:
        """The run whose directory this is; raises FileNotFoundError or ValueError."""
        return cls.from_json(json.loads((directory / "run.json").read_text("utf-8")))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Run:
        """Read what `to_json` made."""
        members = dict(value)
        members |= {name: Path(members[name]) for name in PATHS}
        members["settings"] = Settings.from_json(members["settings"])
        return cls(**members)

    def to_json(self) -> dict[str, Any]:
        """The run as plain data for another process."""
        return {
            **{each.name: getattr(self, each.name) for each in dataclasses.fields(self)},
            **{name: str(getattr(self, name)) for name in PATHS},
            "settings": self.settings.to_json(),
        }

    @property
    def labels(self) -> dict[str, str]:
        """What marks everything that the run makes in a container engine."""
        owner = str(os.getuid()) if os.name == "posix" else ""
        return {
            LABEL_RUN: self.id,
            LABEL_MACHINE: self.machine,
            LABEL_OWNER: owner,
            LABEL_DIRECTORY: str(self.directory),
        }

    @property
    def state_directory(self) -> Path:
        """The user's state directory, which all runs share."""
        return self.directory.parent.parent

    def file(self, name: str) -> Path:
        """A file in the run's directory."""
        return self.directory / name

    @property
    def keeper(self) -> Path:
        """The lock that the keeper holds until it has cleaned up."""
        return self.file("keeper.lock")

    @property
    def serving(self) -> Path:
        """The lock that the keeper itself holds, not its guardian: free when it was killed."""
        return self.file("serving.lock")

    @property
    def finished(self) -> Path:
        """Exists where the controller let the run go, and was not killed."""
        return self.file("finished")

    @property
    def waited(self) -> Path:
        """Exists where a process waited in vain for the slot in which to clear a registry."""
        return self.file("waited")

    @property
    def state(self) -> Path:
        """What the keeper tells: the endpoint, or why there is none."""
        return self.file("state.json")

    @property
    def ended(self) -> Path:
        """Why the registry ended before the run did; missing as long as it serves."""
        return self.file("ended.json")

    @property
    def registry_log(self) -> Path:
        """What the registry wrote."""
        return self.file("registry.log")

    @property
    def keeper_log(self) -> Path:
        """What the keeper wrote; empty unless something went wrong."""
        return self.file("keeper.log")

    @property
    def storage(self) -> Path:
        """The embedded registry's content."""
        return self.file("storage")

    @property
    def accounts(self) -> Path:
        """The registry's accounts with their rights."""
        return self.file("accounts.json")

    @property
    def certificates(self) -> Path:
        """The directory of the run's certificate authority and what it signed."""
        return self.file("certificates")

    @property
    def client_config(self) -> Path:
        """The DOCKER_CONFIG directory with the run's login."""
        return self.file("docker-config")

    @property
    def pulled(self) -> Path:
        """Names of images that the run pulled into the engine, one a line, each before its pull."""
        return self.file("pulled-images")

    @property
    def used_engine(self) -> Path:
        """Exists before anything is made in a container engine for the run."""
        return self.file("used-engine")

    @property
    def references_before(self) -> Path:
        """What the engine held under the registry's name before the run used it, one a line."""
        return self.file("references-before")

    @property
    def repositories(self) -> Path:
        """Whole names of repositories that the run used in a registry of others, one a line."""
        return self.file("repositories")

    @property
    def cleared(self) -> Path:
        """Exists where the run deleted what it made in a registry of others."""
        return self.file("cleared")

    @property
    def kept(self) -> Path:
        """Exists where the registry stays after the run."""
        return self.file("kept")

    @property
    def reused(self) -> Path:
        """Names the directory of the run whose kept registry this one uses again, if it does."""
        return self.file("reused")

    @property
    def registry_home(self) -> Path:
        """The directory of the run whose registry this one uses: its own, or an earlier run's."""
        with contextlib.suppress(OSError):
            return Path(self.reused.read_text("utf-8"))
        return self.directory

    @property
    def requests(self) -> Path:
        """One line of JSON for each request that passed the registry's gate."""
        return self.file("requests.jsonl")

    @property
    def events(self) -> Path:
        """One line of JSON for each pull and push."""
        return self.file("operations.jsonl")


def runs_path(settings: Settings) -> Path:
    """Where the directory is, or would be, that holds a directory for each run of this user."""
    return state_path(settings.state_dir) / "runs"


def private_runs(runs: Path) -> Path:
    """That directory, and the state directory it is in, made where missing; raises StateError."""
    state_directory(runs.parent)
    return private_directory(runs)


def directories_of_runs(runs: Path) -> list[Path]:
    """The runs' directories in it, if it is there; raises StateError if it is not to be trusted.

    What has another name, or is a file or link, was put there by somebody else.
    """
    if not runs.is_dir():
        return []
    return sorted(each for each in private_runs(runs).iterdir() if _is_of_run(each))


def _is_of_run(path: Path) -> bool:
    named = NAME.fullmatch(path.name) is not None
    return named and path.is_dir() and not path.is_symlink()


def remove_if_empty(runs: Path) -> None:
    """Remove the directories above the runs' own, unless others have use for them."""
    with contextlib.suppress(OSError):
        runs.rmdir()
        runs.parent.rmdir()


def version() -> str:
    """The plugin's version."""
    import importlib.metadata  # slow, and a keeper needs it for kept registries only

    return importlib.metadata.version("pytest-registry")


def this_machine() -> str:
    """A name for this host in this boot."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()}/{boot.read_text('ascii').strip() if boot.exists() else ''}"
