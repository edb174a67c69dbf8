"""The embedded registry side by side with Debian's docker-registry 2.8.2 (filesystem driver).

    python -m benchmarks.embedded [--short] [--json PATH]

Both serve the same requests of the same client in the same run, in turns, and nginx the same file;
medians are compared, for absolute figures mean little on a shared machine. MB are 10^6 bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Fact, Result, Row, arguments, in_turn, report
from benchmarks.registries import (
    BLOCK,
    MANIFEST_TYPE,
    NGINX,
    OURS,
    PEER,
    Certificate,
    Registry,
    container_start,
    heads,
    pull,
    pull_with_curl,
    push,
    request,
    running,
)
from benchmarks.sessions import has_engine


@dataclass(frozen=True)
class Size:
    """How much is measured; rounds enough, so that a missed bar fails."""

    rounds: int
    blob: int
    part: int
    seconds: float


FULL = Size(rounds=5, blob=256 << 20, part=8 << 20, seconds=3.0)
SHORT = Size(rounds=5, blob=32 << 20, part=1 << 20, seconds=0.3)


@dataclass(frozen=True)
class Bar:
    """What the ratio of ours to the peer's must reach."""

    name: str
    unit: str
    least: float | None


BARS = (
    Bar("push 1 blob", "MB/s", 2.0),
    Bar("push 32 together", "MB/s", 2.0),
    Bar("pull 1", "MB/s", 0.95),
    Bar("pull 8 together", "MB/s", 1.1),
    Bar("HEAD 1 connection", "1/s", 5.0),
    Bar("HEAD 8 connections", "1/s", 5.0),
    Bar("HEAD 32 connections", "1/s", 5.0),
)
TLS_BARS = (
    Bar("TLS push 1 blob", "MB/s", 1.5),
    Bar("TLS pull 1 by curl", "MB/s", 1.3),
    Bar("TLS pull 1 by HTTP/1.1", "MB/s", None),
)
START_BAR, SHORT_START_BAR = 0.2, 0.25
"""The second is what five rounds on a shared machine can tell: its speed changes by a third."""
RESIDENT_BAR = 40.0
MEMORY = "memory after all"
SHA256_BAR = 0.4


def together(count: int, work: Callable[[int], None]) -> float:
    """Run `work(0..count-1)` in threads; the seconds until the last one is done."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - started


def heads_elsewhere(port: int, connections: int, seconds: float, path: str) -> float:
    """The same in a process of its own, so that this one's threads do not disturb it."""
    command = [sys.executable, "-m", "benchmarks.embedded", "--heads"]
    command += [str(port), str(connections), str(seconds), path]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Bodies:
    """Random bytes, different in every round, so that nothing is there already."""

    def __init__(self, size: int) -> None:
        self._data = bytearray(os.urandom(size))

    def fresh(self, size: int, offset: int = 0) -> tuple[memoryview, str]:
        """A body and its digest."""
        self._data[offset : offset + 16] = os.urandom(16)
        body = memoryview(self._data)[offset : offset + size]
        return body, f"sha256:{hashlib.sha256(body).hexdigest()}"


def touch_memory(registry: Registry, bodies: Bodies, size: Size) -> None:
    """Push a blob that does not count, and drop it.

    What a machine has not used for seconds it may have given back to its hypervisor, and gets again
    slower than any registry writes.
    """
    push(registry, "bench/one", *bodies.fresh(size.blob))
    registry.drop_large_contents()


def measure_one_blob(registry: Registry, bodies: Bodies, size: Size) -> str:
    """Push a blob and pull it again; returns its digest."""
    body, digest = bodies.fresh(size.blob)
    seconds = together(1, lambda _: push(registry, "bench/one", body, digest))
    registry.note("push 1 blob", size.blob / seconds / 1e6)
    seconds = together(1, lambda _: pull(registry, "bench/one", digest))
    registry.note("pull 1", size.blob / seconds / 1e6)
    return digest


def measure_bodies(registry: Registry, bodies: Bodies, size: Size) -> None:
    """Push and pull, alone and together."""
    touch_memory(registry, bodies, size)
    digest = measure_one_blob(registry, bodies, size)
    seconds = together(8, lambda _: pull(registry, "bench/one", digest))
    registry.note("pull 8 together", 8 * size.blob / seconds / 1e6)
    parts = [bodies.fresh(size.part, number * size.part) for number in range(32)]
    seconds = together(32, lambda number: push(registry, f"bench/{number}", *parts[number]))
    registry.note("push 32 together", 32 * size.part / seconds / 1e6)
    registry.drop_large_contents()


def measure_registry(registry: Registry, bodies: Bodies, size: Size) -> None:
    """One round of a registry: large bodies, then small requests, and the memory after all."""
    measure_bodies(registry, bodies, size)
    measure_heads(registry, size)
    registry.note(MEMORY, registry.resident())


def measure_heads(registry: Registry, size: Size) -> None:
    """HEAD of a manifest over 1, 8 and 32 kept connections."""
    for connections, plural in ((1, ""), (8, "s"), (32, "s")):
        rate = heads_elsewhere(
            registry.port, connections, size.seconds, "/v2/bench/heads/manifests/latest"
        )
        registry.note(f"HEAD {connections} connection{plural}", rate)


def push_manifest(registry: Registry) -> None:
    """The image whose manifest is asked for."""
    body = memoryview(b"{}")
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    push(registry, "bench/heads", body, digest)
    descriptor = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor,
            "layers": [descriptor],
        }
    ).encode()
    with registry.connect() as connection:
        answer = request(
            connection,
            "PUT /v2/bench/heads/manifests/latest HTTP/1.1\r\n"
            f"Content-Type: {MANIFEST_TYPE}\r\nContent-Length: {len(manifest)}\r\n",
            memoryview(manifest),
        )
    if not answer.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(f"{registry.name} refused the manifest: {answer!r}")


def measure_tls(bodies: Bodies, size: Size, directory: Path) -> dict[str, dict[str, list[float]]]:
    """Push and pull over TLS.

    curl speaks HTTP/2 with the peer, as Docker and all other clients written in Go do, and HTTP/1.1
    with ours, which offers nothing else. By HTTP/1.1 both are as fast as the encryption.
    """
    tls = Certificate.make(directory)
    with running(PEER, directory, tls) as peer, running(OURS, directory, tls) as ours:
        work = partial(measure_one_blob_by_tls, tls=tls, bodies=bodies, size=size)
        in_turn(size.rounds, **{each.name: partial(work, each) for each in (peer, ours)})
        return {PEER: peer.results, OURS: ours.results}


def measure_one_blob_by_tls(
    registry: Registry, tls: Certificate, bodies: Bodies, size: Size
) -> None:
    """Push a blob and pull it again by either protocol."""
    touch_memory(registry, bodies, size)
    body, digest = bodies.fresh(size.blob)
    ways: dict[str, Callable[[], None]] = {
        "push 1 blob": lambda: push(registry, "bench/one", body, digest),
        "pull 1 by curl": lambda: pull_with_curl(registry, tls.authority, "bench/one", digest),
        "pull 1 by HTTP/1.1": lambda: pull(registry, "bench/one", digest),
    }
    for name, work in ways.items():
        started = time.perf_counter()
        work()
        registry.note(f"TLS {name}", size.blob / (time.perf_counter() - started) / 1e6)
    registry.drop_large_contents()


def measure_nginx(nginx: Registry, bodies: Bodies, size: Size) -> None:
    """The same pulls of the same file, as nginx serves it from the disk."""
    body, digest = bodies.fresh(size.blob)
    path = nginx.storage / "v2" / "bench" / "one" / "blobs" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    seconds = together(1, lambda _: pull(nginx, "bench/one", digest))
    nginx.note("pull 1", size.blob / seconds / 1e6)
    seconds = together(8, lambda _: pull(nginx, "bench/one", digest))
    nginx.note("pull 8 together", 8 * size.blob / seconds / 1e6)
    path.unlink()


def measure_starts(size: Size, directory: Path) -> list[Row]:
    """Milliseconds from spawning each to its first answer."""
    with running(OURS, directory):
        pass  # the first start compiles, as an installation does
    ways: dict[str, Callable[[], float]] = {
        PEER: lambda: process_start(PEER, directory),
        OURS: lambda: process_start(OURS, directory),
    }
    as_a_container = f"{PEER} as a container"
    ways[as_a_container] = container_start
    found = in_turn(2 * size.rounds + 1, **ways)
    starts = {name: [each * 1000 for each in seconds] for name, seconds in found.items()}
    bar = SHORT_START_BAR if size is SHORT else START_BAR
    return [
        Row("cold start", "ms", starts[OURS], PEER, starts[PEER]),
        Row("cold start", "ms", starts[OURS], as_a_container, starts[as_a_container], bar),
    ]


def process_start(name: str, directory: Path) -> float:
    """Seconds from spawning a server to its first answer."""
    with running(name, directory) as registry:
        return registry.start_seconds


def measure(size: Size, directory: Path) -> Result:
    """All figures beside the peers'."""
    bodies = Bodies(max(size.blob, 32 * size.part))
    starts = measure_starts(size, directory)
    with (
        running(PEER, directory) as peer,
        running(OURS, directory) as ours,
        running(NGINX, directory) as nginx,
    ):
        for registry in (peer, ours):
            push_manifest(registry)
        hashed: list[float] = []
        ways: dict[str, Callable[[], None]] = {
            each.name: partial(measure_registry, each, bodies, size) for each in (peer, ours)
        }
        ways[NGINX] = partial(measure_nginx, nginx, bodies, size)
        ways["sha256"] = lambda: hashed.append(sha256_speed(size))
        in_turn(size.rounds, **ways)
        results = {each.name: each.results for each in (peer, ours, nginx)}
    for name, more in measure_tls(bodies, size, directory).items():
        results[name].update(more)
    resident = results[OURS][MEMORY]
    pushed = results[OURS]["push 1 blob"]
    rows = [
        *peer_rows(results, BARS + TLS_BARS),
        *(
            Row(name, "MB/s", results[OURS][name], "nginx, the same file", found, None, True)
            for name, found in results[NGINX].items()
        ),
        Row("push 1 blob", "MB/s", pushed, "hashlib's sha256", hashed, SHA256_BAR, True),
        *starts,
        Row(MEMORY, "MB", resident, PEER, results[PEER][MEMORY]),
    ]
    facts = [
        Fact(
            "memory of the embedded registry",
            "MB",
            max(resident),
            RESIDENT_BAR,
            rounds=len(resident),
        )
    ]
    return Result("Embedded registry", rows, facts)


def peer_rows(results: dict[str, dict[str, list[float]]], bars: tuple[Bar, ...]) -> list[Row]:
    """Ours beside docker-registry."""
    return [
        Row(
            bar.name,
            bar.unit,
            results[OURS][bar.name],
            PEER,
            results[PEER][bar.name],
            bar.least,
            more_is_better=True,
        )
        for bar in bars
    ]


def sha256_speed(size: Size) -> float:
    """What this machine's hashlib does, in MB/s: the most that a push could reach."""
    block = os.urandom(BLOCK)
    digest, started = hashlib.sha256(), time.perf_counter()
    for _ in range(size.blob // BLOCK):
        digest.update(block)
    return size.blob / (time.perf_counter() - started) / 1e6


def main() -> int:
    """Measure, print, and exit with 1 where a bar is missed."""
    if sys.argv[1:2] == ["--heads"]:  # this file as the process that sends small requests
        port, connections, seconds, path = sys.argv[2:]
        print(heads(int(port), int(connections), float(seconds), path))
        return 0
    asked = arguments(__doc__)
    for program in (PEER, NGINX, "curl"):
        if shutil.which(program) is None:
            print(f"{program} is not installed (Debian's package {program})", file=sys.stderr)
            return 2
    if not has_engine():
        print("no docker engine with the images of tools/engine answers", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        result = measure(SHORT if asked.short else FULL, Path(directory))
    return report(result, asked.json)


if __name__ == "__main__":
    sys.exit(main())
