"""What our own tests share: a container engine, its images, and a check for leftovers.

A test that asks for `engine` (or carries the mark `container_engine`) needs an engine with the
images of `tools/engine`. Where there is none it is skipped with the reason; in CI it fails, since
there a skip would hide that the plugin was never tried on a real engine.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import gc
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import docker

REGISTRY_IMAGE = "pytest-registry-ci/registry:3"
OLDER_REGISTRY_IMAGE = "pytest-registry-ci/registry:2"
SHELL_LESS_REGISTRY_IMAGE = "pytest-registry-ci/registry:shell-less"
NGINX_IMAGE = "pytest-registry-ci/nginx:1"
IMAGES = (REGISTRY_IMAGE, OLDER_REGISTRY_IMAGE, SHELL_LESS_REGISTRY_IMAGE, NGINX_IMAGE)

# Processes that a test starts, and those that they start, carry this in their environment.
MARK = "LEFTOVER_OF_TEST"
# Cleaning up may go on after a run has ended: the engine removes containers on its own.
SETTLED_WITHIN_SECONDS = 30.0
# The engine removes a container first, then the volume that it made for it.
ALONE_WITHIN_SECONDS = 5.0

FIGURE = "figure"
"""The name of a recorded property that is printed after the run."""

OUTSIDE = ("PYTEST_REGISTRY_", "PYTEST_XDIST_")

Snapshot = frozenset[str]

ANONYMOUS = re.compile("[0-9a-f]{64}")
"""The name that an engine gives to a container's volume."""

WITHOUT_HYPOTHESIS = "no:hypothesispytest"
PYTEST = (sys.executable, "-m", "pytest", "-p", WITHOUT_HYPOTHESIS)
"""How tests run pytest: hypothesis' plugin takes longer to import than pytest with all others."""


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings and the worker of our own tests out of the runs that these start."""
    for name in [each for each in os.environ if each.startswith(OUTSIDE)]:
        monkeypatch.delenv(name)


@pytest.fixture
def pytester(pytester: pytest.Pytester) -> pytest.Pytester:
    """As `PYTEST`."""
    pytester.plugins.append(WITHOUT_HYPOTHESIS)
    return pytester


# A container engine -----------------------------------------------------------------------------


@functools.cache
def engine_missing() -> str:
    """Why tests cannot use an engine here; empty where they can. Asked once per process."""
    import docker
    import docker.errors

    # docker-py never closes a socket that it could not connect, so we collect it here and quietly:
    # warnings are errors, in whichever test the collector happens to find it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env()
        except docker.errors.DockerException as error:
            answer = f"no container engine answers: {error}"
        else:
            answer = images_missing(client)
            client.close()
        gc.collect()
    return answer


def images_missing(client: docker.DockerClient) -> str:
    """Which of our images the engine lacks, and what to do; empty where it has them all."""
    # As Podman names what it loads.
    present = {tag.removeprefix("localhost/") for tag in image_tags(client)}
    absent = [name for name in IMAGES if name not in present]
    return f"the engine lacks {', '.join(absent)}: run tools/engine" if absent else ""


def image_tags(client: docker.DockerClient) -> list[str]:
    """Every tag in the engine.

    Not by `images.list()`: that looks at each image again, which another test may have removed.
    """
    return [tag for image in client.api.images() for tag in image["RepoTags"] or ()]


def require_engine() -> None:
    """Skip the test where no engine is, or fail it in CI."""
    if reason := engine_missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip engine tests: {reason}", pytrace=False)
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have recorded, also those of xdist's workers."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for name, value in [each for report in reports for each in report.user_properties]:
        if name == FIGURE:
            terminalreporter.write_line(str(value))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the engine, so that `-m "not container_engine"` is complete."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker("container_engine")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail marked tests before any of their fixtures is set up."""
    if item.get_closest_marker("container_engine"):
        require_engine()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Give a test that compares the whole engine before and after the engine for itself.

    Under xdist the tests of other workers put containers and images into the same engine. They hold
    a shared lock meanwhile, a comparing test an exclusive one; the mark's `alone=True` says that a
    test compares in a run of its own.
    """
    marks = list(item.iter_markers("container_engine"))
    uses_engine = marks or "docker" in getattr(item, "fixturenames", ())
    if "PYTEST_XDIST_WORKER" not in os.environ or not uses_engine:
        return (yield)
    alone = "leaves_nothing_behind" in getattr(item, "fixturenames", ()) or any(
        mark.kwargs.get("alone") for mark in marks
    )
    with engine_lock_file(item.config).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return (yield)


def engine_lock_file(config: pytest.Config) -> Path:
    """A file that all workers of this run, and nobody else, know."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    return factory.getbasetemp().parent / "engine.lock"


@pytest.fixture(scope="session")
def ci_registry_image() -> str:
    """The registry image of our tests, laid out like `registry:3`."""
    return REGISTRY_IMAGE


@pytest.fixture(scope="session")
def ci_nginx_image() -> str:
    """The sample image of our tests: serves a welcome page on port 80."""
    return NGINX_IMAGE


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A docker-py client of the machine's engine, as the environment resolves it; not logged in."""
    import docker

    require_engine()
    client = docker.from_env()
    yield client
    client.close()


def free_port(address: str = "127.0.0.1") -> int:
    """A port for a server that must be told one, below those that the kernel gives away by itself.

    Of those another process may be given it before the server has it.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port


# Leftovers --------------------------------------------------------------------------------------


OF_A_RUN = " of a run"
OF_NO_CONTAINER = " of no container"
A_RUNS_IMAGE = re.compile(r"image \S+ (127\.0\.0\.1|localhost):\d+/")


def of_whom(labels: Mapping[str, str] | None) -> str:
    return OF_A_RUN if "pytest-registry.run" in (labels or {}) else ""


def of_which_container(volume: str, standing: Sequence[Mapping[str, Any]]) -> str:
    """Whose an anonymous volume is: it has no labels of its own, so its container's tell."""
    for one in standing:
        if volume in {mount.get("Name") for mount in one["Mounts"]}:
            return of_whom(one["Labels"])
    return OF_NO_CONTAINER


def snapshot(client: docker.DockerClient) -> Snapshot:
    """What stands in the engine: containers, images with their tags, volumes, networks."""
    tags = (
        f"image {image['Id'][7:19]} {tag}"
        for image in client.api.images()
        for tag in (image["RepoTags"] or image["RepoDigests"] or ["<none>"])
    )
    # Before the volumes: of a container that is removed meanwhile the volume's owner is known then.
    standing = client.api.containers(all=True)
    containers = (
        f"container {one['Id'][:12]} {one['Image']}{of_whom(one['Labels'])}" for one in standing
    )
    volumes = (
        f"volume {one['Name']}"
        + (
            of_which_container(one["Name"], standing)
            if ANONYMOUS.fullmatch(one["Name"])
            else of_whom(one["Labels"])
        )
        for one in client.api.volumes()["Volumes"] or ()
    )
    networks = (
        f"network {one['Id'][:12]} {one['Name']}{of_whom(one['Labels'])}"
        for one in client.api.networks()
    )
    return frozenset((*tags, *containers, *volumes, *networks))


def settled_snapshot(client: docker.DockerClient) -> Snapshot:
    """A snapshot that is not of the moment when a container is gone and its volume not yet.

    A volume that stands alone for longer is somebody else's, and has to stay.
    """
    deadline = time.monotonic() + ALONE_WITHIN_SECONDS
    while True:
        is_last = time.monotonic() > deadline
        now = snapshot(client)
        if is_last or not any(one.endswith(OF_NO_CONTAINER) for one in now):
            return now
        time.sleep(0.05)


def processes_marked(mark: str) -> dict[int, str]:
    """The living processes that carry the mark, other than this one, with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or belongs to somebody else
        if f"{MARK}={mark}".encode() in environment and int(entry.name) != os.getpid():
            found[int(entry.name)] = command
    return found


def wait_until_nothing_is_left(leftovers: Callable[[], list[str]]) -> list[str]:
    """The leftovers once they are none, or those that stay.

    None is what two looks say: a process that just executes its program has no environment yet.
    """
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    found_none = False
    while True:
        is_last = time.monotonic() > deadline
        left = leftovers()
        if is_last or (found_none and not left):
            return left
        found_none = not left
        time.sleep(0.05)


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """What came into the engine and what is missing from it, as sentences.

    What a run of an earlier test has there may go: a killed run is cleaned up in its own time.
    """
    came = [f"left in the engine: {one}" for one in sorted(after - before)]
    gone = sorted(
        one for one in before - after if not one.endswith(OF_A_RUN) and not A_RUNS_IMAGE.match(one)
    )
    return came + [f"gone from the engine: {one}" for one in gone]


@pytest.fixture
def leaves_nothing_behind(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail the test if anything is left after it: processes, temporary files, things in the engine.

    For tests that start runs of their own. Processes are recognised by an inherited environment
    variable and files by a TMPDIR of the test's own, so tests beside it do not matter. The engine
    is looked at in tests with the mark `container_engine` only, which then have it for themselves.
    """
    mark = uuid.uuid4().hex
    # Not tmp_path: sockets in it would have too long a path.
    directory = Path(tempfile.mkdtemp(prefix="left-"))
    monkeypatch.setenv(MARK, mark)
    for variable in ("TMPDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it remembers the first TMPDIR
    marked = request.node.get_closest_marker("container_engine") is not None
    client = request.getfixturevalue("engine") if marked else None
    before = settled_snapshot(client) if client else frozenset()

    def leftovers() -> list[str]:
        processes = processes_marked(mark).items()
        return [
            *(f"process {pid} still runs: {command}" for pid, command in processes),
            *(f"left in the temporary directory: {path}" for path in files(directory)),
            *changes(before, snapshot(client) if client else frozenset()),
        ]

    yield
    left = wait_until_nothing_is_left(leftovers)
    for pid in processes_marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)
    assert not left, "\n".join(left)


def files(directory: Path) -> list[str]:
    """What stands below the directory, but for what pytest and the plugin keep there on purpose.

    That is pytest's own base directories, the user's (empty) state directory and lock files, which
    are never removed, since another process may be about to lock them.
    """
    # Not `rglob`: of a directory that goes while it is walked that makes an error.
    below = (Path(at, name) for at, inner, names in os.walk(directory) for name in (*inner, *names))
    return [
        str(path.relative_to(directory))
        for path in sorted(below)
        if not path.relative_to(directory).parts[0].startswith("pytest-of-")
        and not (path.parent == directory and path.name.startswith("pytest-registry-"))
        and path.suffix != ".lock"
    ]
