"""What the gate costs: our gateway before registries of others, and the log of requests.

    python -m benchmarks.gateway [--short] [--json PATH]

The gateway stands before the very registry that it is compared with: a registry container as the
container engine starts it, and Debian's docker-registry as a process, which no proxy of an engine
slows down. The embedded registry runs twice: with the log of requests,
and with the plain access log that this replaces. All in turns, in one run. MB are 10^6 bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Result, Row, arguments, in_turn, report
from benchmarks.registries import (
    IMAGE,
    PEER,
    Registry,
    environment_with_bytecode,
    free_port,
    heads,
    pull,
    push,
    running,
    wait_for_first_answer,
)
from benchmarks.sessions import has_engine

REPOSITORY = "bench/app"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    blob: int
    seconds: float


# Many short rounds: what else the machine does then meets both of a pair alike.
FULL = Size(rounds=60, blob=48 << 20, seconds=0.3)
SHORT = Size(rounds=12, blob=48 << 20, seconds=0.2)

CONTAINER = "registry container"
NAMES = {"gateway": "gateway", "logged": "embedded", "quiet": "embedded, without the log"}
"""What the kinds of our servers are called."""


def main() -> int:
    """Measure, print, and say by the exit status whether the bars are kept."""
    asked = arguments(__doc__)
    if not has_engine():
        print("no docker engine with the images of tools/engine answers", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # else the container would stay
    with tempfile.TemporaryDirectory() as directory:
        result = measure(SHORT if asked.short else FULL, Path(directory))
    return report(result, asked.json)


def measure(size: Size, place: Path) -> Result:
    """All figures, each registry beside the one that it is compared with."""
    body = memoryview(os.urandom(size.blob))
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    one, four = (together(count, digest, size.blob) for count in (1, 4))
    with contextlib.ExitStack() as stack:
        behind = [stack.enter_context(each) for each in (container(place), running(PEER, place))]
        quiet = stack.enter_context(serving("quiet", place))
        logged = stack.enter_context(serving("logged", place))
        for registry in (*behind, quiet, logged):
            push(registry, REPOSITORY, body, digest)
        pairs = []
        # The bar is the container's; beside it, the process is told for comparison only.
        for peer, bar in zip(behind, (0.7, None), strict=True):
            gateway = stack.enter_context(serving("gateway", place, peer.port))
            pairs += [
                Pair("pull x1 through the gateway", "MB/s", gateway, peer, bar, one),
                Pair("pull x4 through the gateway", "MB/s", gateway, peer, bar, four),
            ]
        path = f"/v2/{REPOSITORY}/blobs/{digest}"
        pairs += [
            Pair("pull x1 with the log", "MB/s", logged, quiet, 0.95, one),
            Pair("pull x4 with the log", "MB/s", logged, quiet, 0.95, four),
            Pair(
                *("HEAD, 8 connections, with the log", "requests/s", logged, quiet, 0.95),
                lambda each: heads(each.port, 8, size.seconds, path),
            ),
        ]
        rows = [pair.measured(size.rounds) for pair in pairs]
    return Result("What the gate costs: the gateway, the log of requests", rows)


@dataclass(frozen=True)
class Pair:
    """Two registries, what is measured of both, and what the ratio must reach."""

    what: str
    unit: str
    ours: Registry
    theirs: Registry
    bar: float | None
    measure: Callable[[Registry], float]

    def measured(self, rounds: int) -> Row:
        """Both in turn, after one round that does not count."""
        ours, theirs = (partial(self.measure, each) for each in (self.ours, self.theirs))
        in_turn(1, ours=ours, theirs=theirs)
        found = in_turn(rounds, ours=ours, theirs=theirs)
        name = self.theirs.name
        return Row(
            *(self.what, self.unit, found["ours"], name, found["theirs"], self.bar),
            more_is_better=True,
        )


def together(count: int, digest: str, size: int) -> Callable[[Registry], float]:
    """A measure: so many pulls at once, in MB/s."""

    def measure(registry: Registry) -> float:
        with ThreadPoolExecutor(count) as pool:
            begun = time.perf_counter()
            pulls = [pool.submit(pull, registry, REPOSITORY, digest) for _ in range(count)]
            for each in pulls:
                each.result()
            return count * size / 1e6 / (time.perf_counter() - begun)

    return measure


# The servers, each in a process of its own ------------------------------------------------------


@contextlib.contextmanager
def container(directory: Path) -> Iterator[Registry]:
    """The peer in a container, as an engine starts its image."""
    port = free_port()
    options = ["--detach", "--rm", "--pull=never", f"--publish=127.0.0.1:{port}:5000"]
    command = ["docker", "run", *options, IMAGE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        name = process.communicate()[0].decode().strip()
    try:
        found = Registry(CONTAINER, port, directory, process)
        wait_for_first_answer(found)
        yield found
    finally:
        removal = ["docker", "rm", "--force", "--volumes", name]
        subprocess.run(removal, capture_output=True, check=True)


@contextlib.contextmanager
def serving(kind: str, directory: Path, upstream: int = 0) -> Iterator[Registry]:
    """A server of ours: `gateway`, or the embedded registry, `quiet` or `logged`."""
    port = free_port()
    storage = directory / f"{kind}-{port}"
    storage.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gateway", kind, str(port), str(storage), str(upstream)],
        env=environment_with_bytecode(directory),
    )
    try:
        registry = Registry(NAMES[kind], port, storage, process)
        wait_for_first_answer(registry)
        yield registry
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def serve(kind: str, port: int, storage: Path, upstream: int) -> None:
    """Be one of these servers, as the engines start them."""
    from pytest_registry.gate.forward import Forward, Upstream
    from pytest_registry.gate.guard import Guard
    from pytest_registry.security.credentials import Credentials
    from pytest_registry.server import RegistryServer, ServerSettings

    log = (storage / "registry.log").open("a", buffering=1, encoding="utf-8")
    run = Credentials("pytest", "password")
    settings = ServerSettings(
        port=port, storage=storage / "content", log=lambda line: print(line, file=log)
    )
    if kind == "gateway":
        forward = Forward(Upstream(f"127.0.0.1:{upstream}", None, run, workers=True))
        silent = settings._replace(storage=None, log=None)
        settings = Guard(silent, run, storage / "requests", forward=forward).settings
    elif kind == "logged":
        settings = Guard(settings, run, storage / "requests").settings
    RegistryServer(settings).serve_forever()


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] in NAMES:
        serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main())
