"""Runs of pytest as processes of their own, which tests stop in every way and then look for traces.

A run's processes are known by an inherited environment variable, its files by a TMPDIR of its own,
and what it makes in a container engine by its labels, its registry's address, and the volumes that
its containers were seen with. So runs of other tests, beside it in the same engine, do not matter.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTEST

if TYPE_CHECKING:
    import docker

MARK = "SHARING_RUN"
SUITES = Path(__file__).with_name("suites")
PATIENCE = 120.0
"""Seconds that an event may take before a test gives up; none should take more than a few."""
LOOK = 0.05
"""Seconds between two looks at what is left."""


def wait_until(happened: Callable[[], Any], what: str, tell: Callable[[], str] = str) -> Any:
    """Wait for something to be true and return it; fails the test if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not (result := happened()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE:g} s in vain until {what}\n{tell()}")
        time.sleep(0.02)
    return result


@dataclass(frozen=True)
class Process:
    """A process of a run, as /proc tells it."""

    pid: int
    parent: int
    command: str

    @property
    def is_keeper(self) -> bool:
        return "pytest_registry.sharing.keeper" in self.command

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)


def processes(mark: str) -> list[Process]:
    """The living processes that carry the mark."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            command = words.replace("\0", " ")
            status = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or belongs to somebody else
        if status[0] != "Z":
            found.append(Process(int(entry.name), int(status[1]), command))
    return found


@dataclass
class Place:
    """Where runs of one test live: a temporary directory of their own, and a mark."""

    directory: Path
    environment: dict[str, str]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    engine: docker.DockerClient | None = None
    hosts: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    started: list[PytestRun] = field(default_factory=list)

    @property
    def runs(self) -> list[Path]:
        """The directories of the runs that are there, none unborn."""
        found: list[Path] = []
        for state in self.directory.glob("pytest-registry-*"):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # it may go meanwhile
                found += [run for run in (state / "runs").iterdir() if run.name[0] != "."]
        return sorted(found)

    def states(self) -> list[dict[str, Any]]:
        """What the keepers have told; a run may end, and take it away, while we read."""
        told = []
        for run in self.runs:
            with contextlib.suppress(FileNotFoundError):
                told.append(json.loads((run / "state.json").read_text()))
        return told

    def observe(self) -> None:
        """Remember what the living runs have, so that it can be missed afterwards."""
        self.hosts |= {state["endpoint"]["host"] for state in self.states() if "endpoint" in state}
        for container in self.containers():
            mounts = container["Mounts"]
            self.volumes |= {each["Name"] for each in mounts if each["Type"] == "volume"}

    def wait_until_silent(self) -> None:
        """Wait until no registry serves: a container does so for a moment after its keeper died."""
        wait_until(lambda: not any(map(_accepts, self.hosts)), "the registries ended")

    def containers(self) -> list[dict[str, Any]]:
        """The containers of this place's runs, known by the directory in their labels."""
        if self.engine is None:
            return []
        every = self.engine.api.containers(all=True, filters={"label": "pytest-registry.run"})
        ours = (each for each in every if str(self.directory) in str(each["Labels"]))
        return [each for each in ours if self._exists(each["Id"])]

    def _exists(self, container: str) -> bool:
        """Whether it can be inspected.

        A dockerd that was killed and started anew may list one that it has removed, until it is
        started again: seen on Docker 20.10, under load.
        """
        from docker.errors import NotFound

        assert self.engine is not None
        with contextlib.suppress(NotFound):
            return bool(self.engine.api.inspect_container(container))
        return False

    def left(self) -> list[str]:
        """Everything of the runs that is still there."""
        return [
            *(f"process {each.pid}: {each.command}" for each in processes(self.mark)),
            *(f"file {path}" for path in self._files()),
            *(f"somebody listens at {host}" for host in self.hosts if _accepts(host)),
            *self._left_in_engine(),
        ]

    def _files(self) -> Iterator[Path]:
        """All but what pytest keeps of its temporary directories, and Python's own trial."""
        for directory, below, files in os.walk(self.directory):
            for name in (*below, *files):
                path = Path(directory, name).relative_to(self.directory)
                if not path.parts[0].startswith("pytest-of-") and not self._is_trial(path):
                    yield path

    def _is_trial(self, path: Path) -> bool:
        """Whether a process was killed in Python's `gettempdir`, which tries out the directory."""
        if not re.fullmatch("[a-z0-9_]{8}", str(path)):
            return False
        with contextlib.suppress(OSError):
            return (self.directory / path).read_bytes() in (b"", b"blat")
        return False

    def _left_in_engine(self) -> Iterator[str]:
        if self.engine is None:
            return
        api = self.engine.api
        yield from (f"container {each['Id'][:12]}" for each in self.containers())
        volumes = api.volumes()["Volumes"] or ()
        yield from (f"volume {each['Name']}" for each in volumes if each["Name"] in self.volumes)
        for network in api.networks(filters={"label": "pytest-registry.run"}):
            if str(self.directory) in str(network["Labels"]):
                yield f"network {network['Name']}"
        for image in api.images():
            for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())):
                if name.partition("/")[0] in self.hosts:
                    yield f"image {name}"

    def wait_until_empty(self, seconds: float = 30.0, besides: str = "") -> list[str]:
        """What is left once nothing is, besides one thing, or when the time is over.

        A look counts for a second at most: a machine that stands still takes no more away.
        """
        spent = 0.0
        while True:
            began = time.monotonic()
            left = [each for each in self.left() if each != besides]
            if not left or spent > seconds:
                return left
            time.sleep(LOOK)
            spent += min(time.monotonic() - began, 1.0)

    def start(self, suite: str, *options: str, **variables: str) -> PytestRun:
        """Start a run of one of the suites."""
        run = PytestRun(self, suite, options, variables)
        self.started.append(run)
        return run

    def close(self) -> None:
        """Kill what a failed test left, and remove it."""
        for process in processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for run in self.started:
            run.process.wait()
        for container in self.containers():
            self._remove(container["Id"])
        shutil.rmtree(self.directory, ignore_errors=True)

    def _remove(self, container: str) -> None:
        from docker.errors import APIError

        assert self.engine is not None
        with contextlib.suppress(APIError):  # it is going already
            self.engine.api.remove_container(container, force=True, v=True)


class PytestRun:
    """One pytest process with its workers and keepers; it and the test signal by files."""

    def __init__(
        self, place: Place, suite: str, options: tuple[str, ...], variables: Mapping[str, str]
    ) -> None:
        self.place = place
        root = Path(tempfile.mkdtemp(dir=_signals(place)))
        self.signals = root / "signals"
        self.signals.mkdir()
        (root / "suite").mkdir()
        for name in ("conftest.py", "pytest.ini"):
            shutil.copy(SUITES / name, root / "suite")
        shutil.copy(SUITES / f"{suite}.py", root / "suite" / f"test_{suite}.py")
        self._output = root / "output"
        self.environment = {**place.environment, "SIGNALS": str(self.signals), **variables}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*PYTEST, "-v", *options],
                cwd=root / "suite",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to a terminal's whole process group
                preexec_fn=_take_interrupts,  # noqa: PLW1509 - nothing but one system call
            )

    @property
    def output(self) -> str:
        """What pytest has printed so far."""
        return self._output.read_text(errors="replace")

    def said(self, pattern: str) -> list[Path]:
        """The signals of that name which the suite has given."""
        return sorted(self.signals.glob(pattern))

    def wait_for(self, pattern: str, count: int = 1) -> list[Path]:
        """Wait until the suite has said so, that many times."""

        def happened() -> bool:
            if self.process.poll() is not None and len(self.said(pattern)) < count:
                pytest.fail(f"the run ended before {pattern}:\n{self.output}")
            return len(self.said(pattern)) >= count

        wait_until(happened, f"the suite said {pattern} {count} times", lambda: self.output)
        return self.said(pattern)

    def say(self, name: str = "go") -> None:
        """Let the suite go on."""
        (self.signals / name).touch()

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for the controller's end; its exit status."""
        return self.process.wait(seconds)

    @property
    def controller(self) -> Process:
        return Process(self.process.pid, os.getpid(), "controller")

    @property
    def workers(self) -> list[Process]:
        return [each for each in processes(self.place.mark) if each.parent == self.process.pid]

    @property
    def keeper(self) -> Process:
        """The keeper itself: the child of the other one."""
        both = self.keepers
        return next(one for one in both if any(one.parent == other.pid for other in both))

    @property
    def guardian(self) -> Process:
        parent = self.keeper.parent
        return next(each for each in self.keepers if each.pid == parent)

    @property
    def keepers(self) -> list[Process]:
        return [each for each in processes(self.place.mark) if each.is_keeper]


def _signals(place: Place) -> Path:
    """Beside the place, not in it: what a test itself makes is no trace of a run."""
    directory = place.directory.with_name(f"{place.directory.name}-signals")
    directory.mkdir(exist_ok=True)
    return directory


def _take_interrupts() -> None:
    """A shell's background jobs ignore SIGINT, and so would all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _accepts(host: str) -> bool:
    address, _, port = host.rpartition(":")
    try:
        socket.create_connection((address, int(port)), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for byte code that all runs share: else most of their time is compiling."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"


@pytest.fixture
def environment(compiled: Path) -> dict[str, str]:
    """The environment of the runs, without what steers the tests' own."""
    ours = ("PYTEST_", "PYTHONDONTWRITEBYTECODE", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPYCACHEPREFIX": str(compiled)}


@pytest.fixture
def place(environment: dict[str, str]) -> Iterator[Place]:
    """A place for runs with the embedded server."""
    yield from _place(environment, None, "embedded")


@pytest.fixture
def container_place(
    environment: dict[str, str], engine: docker.DockerClient, ci_registry_image: str
) -> Iterator[Place]:
    """A place for runs with the container engine of the machine."""
    environment["PYTEST_REGISTRY_IMAGE"] = ci_registry_image
    yield from _place(environment, engine, "container")


def _place(
    environment: dict[str, str], engine: docker.DockerClient | None, kind: str
) -> Iterator[Place]:
    directory = Path(tempfile.mkdtemp(prefix="run-"))
    place = Place(directory, environment, engine=engine)
    environment |= {MARK: place.mark, "TMPDIR": str(directory), "PYTEST_REGISTRY_ENGINE": kind}
    yield place
    place.close()
    shutil.rmtree(_signals(place))
