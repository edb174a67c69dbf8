"""Whole pytest sessions of ours and of the peers, timed from spawning the process."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.names import NGINX, REGISTRY

ROOT = Path(__file__).parents[1]
TEST = """
import os, time
from pathlib import Path

def test_ready({fixture}):
    Path(f"ready-{{os.getpid()}}").write_text(str(time.monotonic()))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to a registry: its fixtures' module in `benchmarks.peers`, and pytest's options.

    `files` stand beside the tests.
    """

    name: str
    module: str
    options: Sequence[str] = ("-pno:registry",)
    python: str = sys.executable
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def ours(engine: str, *options: str) -> Peer:
    """The plugin with an engine, with the same images as the peers."""
    images = (f"--registry-image={REGISTRY}", f"--registry-sample-image={NGINX}")
    return Peer(f"ours, {engine}", "ours", (f"--registry-engine={engine}", *images, *options))


EMBEDDED = ours("embedded")
CONTAINER = ours("container")
BY_HAND = Peer("docker run by hand", "by_hand")
TESTCONTAINERS = Peer("testcontainers", "with_testcontainers")
PEERS = ROOT / "build" / "peers"
"""What tools/peers makes."""


def docker_registry_fixtures() -> Peer:
    """pytest-docker-registry-fixtures with our images.

    Raises FileNotFoundError without tools/peers.
    """
    if not (PEERS / "docker" / "config.json").exists():
        raise FileNotFoundError("tools/peers makes what the benchmark of the first push needs")
    [package] = PEERS.glob("venv/lib/python*/site-packages/pytest_docker_registry_fixtures")
    compose = (package / "docker-compose.yml").read_text()
    return Peer(
        "pytest-docker-registry-fixtures",
        "with_docker_registry_fixtures",
        (f"--push-image={NGINX}", "--always-pull=false"),
        python=str(PEERS / "venv" / "bin" / "python"),
        files={"tests/docker-compose.yml": compose.replace("library/registry:2.7.1", REGISTRY)},
        environment={"DOCKER_CONFIG": str(PEERS / "docker")},
    )


@dataclass(frozen=True, slots=True)
class Session:
    """Seconds from the spawn until the fixture was ready in the first and the last worker."""

    first: float
    last: float
    whole: float


def session(peer: Peer, fixture: str, workers: int = 1) -> Session:
    """Run a suite whose tests ask for one fixture, in as many workers."""
    # No pytest plugin but those needed: what else is installed would be in every figure alike.
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        for path, text in {**peer.files, "test_ready.py": TEST.format(fixture=fixture)}.items():
            (directory / path).parent.mkdir(exist_ok=True)
            (directory / path).write_text(text)
        command = [peer.python, "-m", "pytest", "-q", "-pno:cacheprovider", "-pno:hypothesispytest"]
        command += [f"-pbenchmarks.peers.{peer.module}", *peer.options]
        command += ["--dist=each", f"--numprocesses={workers}"] if workers > 1 else ["-pno:xdist"]
        begun = time.monotonic()
        done = subprocess.run(
            command,
            cwd=directory,
            env={**environment(), **peer.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        whole = time.monotonic() - begun
        if done.returncode:
            raise RuntimeError(f"{peer.name} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        ready = sorted(float(path.read_text()) - begun for path in directory.glob("ready-*"))
    assert len(ready) == workers
    return Session(ready[0], ready[-1], whole)


def environment() -> dict[str, str]:
    """As after an installation, with byte code, and without settings of whoever measures."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": byte_code()}


@functools.cache
def byte_code() -> str:
    """A directory for it that all sessions of this process share, and that goes with it."""
    name = tempfile.mkdtemp(prefix="bench-byte-code-")
    atexit.register(shutil.rmtree, name, ignore_errors=True)
    return name


def has_engine() -> bool:
    """Whether a docker engine answers here and has the images."""
    command = ["docker", "image", "inspect", REGISTRY, NGINX]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def kept_registry(peer: Peer) -> Iterator[Peer]:
    """A registry with the image in it that an earlier run left, and the peer that uses it again."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        where = f"--registry-state-dir={name}"
        session(Peer(peer.name, peer.module, (*peer.options, where, "--registry-keep")), "nginx")
        try:
            options = (*peer.options, where, "--registry-reuse")
            yield Peer(f"{peer.name}, kept", peer.module, options)
        finally:
            subprocess.run(
                [sys.executable, "-m", "pytest_registry", "remove", "--all", "--state-dir", name],
                check=True,
                capture_output=True,
            )
