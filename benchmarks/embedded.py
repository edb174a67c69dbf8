"""The embedded registry side by side with Debian's docker-registry 2.8.2 (filesystem driver).

    python -m benchmarks.embedded [--short] [--tls] [--json PATH]

Both serve the same requests of the same client in the same run, in turns; medians are compared,
for absolute figures mean little on a shared machine. MB are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.registries import (
    BLOCK,
    MANIFEST_TYPE,
    OURS,
    PEER,
    Certificate,
    Registry,
    heads,
    pull,
    push,
    request,
    running,
)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    blob: int
    part: int
    seconds: float


FULL = Size(rounds=5, blob=256 << 20, part=8 << 20, seconds=3.0)
SHORT = Size(rounds=2, blob=64 << 20, part=2 << 20, seconds=0.7)


@dataclass(frozen=True)
class Bar:
    """What the ratio of ours to the peer's must reach."""

    name: str
    unit: str
    least: float


BARS = (
    Bar("push 1 blob", "MB/s", 2.0),
    Bar("push 32 together", "MB/s", 2.0),
    Bar("pull 1", "MB/s", 0.95),
    Bar("pull 8 together", "MB/s", 1.1),
    Bar("HEAD 1 connection", "1/s", 5.0),
    Bar("HEAD 8 connections", "1/s", 5.0),
    Bar("HEAD 32 connections", "1/s", 5.0),
)
TLS_BARS = (Bar("TLS push 1 blob", "MB/s", 1.5), Bar("TLS pull 1", "MB/s", 1.3))
RESIDENT_BAR = 40.0
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
    arguments = [str(port), str(connections), str(seconds), path]
    command = [sys.executable, "-m", "benchmarks.embedded", "--heads", *arguments]
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


def measure_one_blob(registry: Registry, bodies: Bodies, size: Size, prefix: str = "") -> str:
    """Push a blob and pull it again; returns its digest."""
    body, digest = bodies.fresh(size.blob)
    seconds = together(1, lambda _: push(registry, "bench/one", body, digest))
    registry.note(f"{prefix}push 1 blob", size.blob / seconds / 1e6)
    seconds = together(1, lambda _: pull(registry, "bench/one", digest))
    registry.note(f"{prefix}pull 1", size.blob / seconds / 1e6)
    return digest


def measure_bodies(registry: Registry, bodies: Bodies, size: Size) -> None:
    """Push and pull, alone and together."""
    digest = measure_one_blob(registry, bodies, size)
    seconds = together(8, lambda _: pull(registry, "bench/one", digest))
    registry.note("pull 8 together", 8 * size.blob / seconds / 1e6)
    parts = [bodies.fresh(size.part, number * size.part) for number in range(32)]
    seconds = together(32, lambda number: push(registry, f"bench/{number}", *parts[number]))
    registry.note("push 32 together", 32 * size.part / seconds / 1e6)
    registry.drop_large_contents()


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
    """Push and pull over TLS."""
    tls = Certificate.make(directory)
    with running(PEER, directory, tls) as peer, running(OURS, directory, tls) as ours:
        for _ in range(size.rounds):
            for registry in (peer, ours):
                measure_one_blob(registry, bodies, size, "TLS ")
                registry.drop_large_contents()
        return {PEER: peer.results, OURS: ours.results}


def measure(size: Size, directory: Path, with_tls: bool) -> dict[str, object]:
    """All figures, as JSON-able data."""
    bodies = Bodies(max(size.blob, 32 * size.part))
    starts: dict[str, list[float]] = {PEER: [], OURS: []}
    with running(OURS, directory):
        pass  # the first start compiles, as an installation does
    for _ in range(2 * size.rounds):
        for name, seconds in starts.items():
            with running(name, directory) as registry:
                seconds.append(registry.start_seconds * 1000)
    with running(PEER, directory) as peer, running(OURS, directory) as ours:
        for registry in (peer, ours):
            push_manifest(registry)
        for _ in range(size.rounds):
            for registry in (peer, ours):
                measure_bodies(registry, bodies, size)
                measure_heads(registry, size)
        results = {PEER: peer.results, OURS: ours.results}
        resident = {each.name: each.resident() for each in (peer, ours)}
    if with_tls:
        for name, more in measure_tls(bodies, size, directory).items():
            results[name].update(more)
    return {
        "size": asdict(size),
        "start_ms": starts,
        "results": results,
        "resident_mb": resident,
        "sha256_mb_s": sha256_speed(size),
    }


def sha256_speed(size: Size) -> float:
    """What this machine's hashlib does, in MB/s: the most that a push could reach."""
    block = os.urandom(BLOCK)
    figures = []
    for _ in range(size.rounds):
        digest, started = hashlib.sha256(), time.perf_counter()
        for _ in range(size.blob // BLOCK):
            digest.update(block)
        figures.append(size.blob / (time.perf_counter() - started) / 1e6)
    return statistics.median(figures)


def report(figures: dict[str, object], bars: tuple[Bar, ...]) -> bool:
    """Print the table; whether every bar is met."""
    results = figures["results"]
    assert isinstance(results, dict)
    print(f"{'medians':24}{PEER:>18}{OURS:>14}{'ratio':>9}{'bar':>8}")
    met = True
    for bar in bars:
        theirs, own = (statistics.median(results[name][bar.name]) for name in (PEER, OURS))
        met &= line(f"{bar.name}, {bar.unit}", theirs, own, own / theirs, bar.least)
    starts = figures["start_ms"]
    assert isinstance(starts, dict)
    theirs, own = (statistics.median(starts[name]) for name in (PEER, OURS))
    print(f"{'cold start, ms':24}{theirs:18.0f}{own:14.0f}{own / theirs:9.2f}")
    resident = figures["resident_mb"]
    assert isinstance(resident, dict)
    print(f"{'resident after all, MB':24}{resident[PEER]:18.1f}{resident[OURS]:14.1f}", end="")
    print(f"{'':9}{'<= 40':>8}  {'met' if resident[OURS] <= RESIDENT_BAR else 'MISSED'}")
    met &= resident[OURS] <= RESIDENT_BAR
    sha256 = figures["sha256_mb_s"]
    assert isinstance(sha256, float)
    pushed = statistics.median(results[OURS]["push 1 blob"])
    return line("push to sha256, MB/s", sha256, pushed, pushed / sha256, SHA256_BAR) and met


def line(name: str, theirs: float, own: float, ratio: float, least: float) -> bool:
    """One row; whether its bar is met."""
    word = "met" if ratio >= least else "MISSED"
    print(f"{name:24}{theirs:18.0f}{own:14.0f}{ratio:9.2f}{least:8.2f}  {word}")
    return ratio >= least


def main() -> int:
    """Measure, print, and exit with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="smaller and fewer: a minute at most")
    parser.add_argument("--tls", action="store_true", help="push and pull over TLS as well")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure there")
    parser.add_argument("--heads", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.heads:
        port, connections, seconds, path = arguments.heads
        print(heads(int(port), int(connections), float(seconds), path))
        return 0
    if shutil.which(PEER) is None:
        print(f"{PEER} is not installed (Debian's package {PEER})", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        figures = measure(SHORT if arguments.short else FULL, Path(directory), arguments.tls)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2))
    return 0 if report(figures, BARS + (TLS_BARS if arguments.tls else ())) else 1


if __name__ == "__main__":
    sys.exit(main())
