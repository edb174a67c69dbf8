"""Debian's docker-registry on an address of a test's, and what its own log says of operations."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port

CONFIG = """\
version: 0.1
log:
  level: info
  formatter: json
  accesslog: {disabled: true}
storage:
  filesystem: {}
  delete: {enabled: true}
http: {}
"""
UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_REPOSITORY = re.compile(r"/v2/(?P<repository>.+)/(?P<what>blobs|manifests|tags)/")


@dataclass(frozen=True)
class DebianRegistry:
    """A registry at `host`; `log` is its own, a line of JSON for every answer."""

    host: str
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def most_at_once(self, kind: str) -> int:
        """How many operations it saw at the same time, at most: each has its own repository.

        From the beginning of a repository's first request to the end of its last one.
        """
        spans: dict[str, list[float]] = defaultdict(list)
        for repository, began, ended in self._requests():
            if f"/{kind}/" in repository:
                spans[repository] += [began, ended]
        events = [(min(span), 1) for span in spans.values()]
        events += [(max(span), -1) for span in spans.values()]
        inside = most = 0
        for _, change in sorted(events):
            inside += change
            most = max(most, inside)
        return most

    def _requests(self) -> Iterator[tuple[str, float, float]]:
        """Repository, beginning and end in seconds of the epoch; those that clear up left out."""
        for line in self.log.read_text().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if not str(said.get("msg", "")).startswith("response completed"):
                continue
            found = _REPOSITORY.search(said["http.request.uri"])
            if found is not None and found["what"] != "tags":
                ended = datetime.fromisoformat(said["time"]).timestamp()
                yield found["repository"], ended - seconds(said["http.response.duration"]), ended


def seconds(duration: Any) -> float:
    """A duration as Go writes it, such as `1m2.5s` or `871.5µs`."""
    parts = re.findall(r"([0-9.]+)(ns|µs|ms|s|m)", str(duration))
    return sum(float(number) * UNITS[unit] for number, unit in parts)


@contextmanager
def debian_registry(address: str, place: Path) -> Iterator[DebianRegistry]:
    """Serve at an address until the test is done."""
    program = shutil.which("docker-registry")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must not skip this: tools/engine installs docker-registry")
        pytest.skip("there is no docker-registry here (Debian's package of that name)")
    host = f"{address}:{free_port(address)}"
    (place / "registry.yml").write_text(CONFIG)
    environment = {
        **os.environ,
        "REGISTRY_HTTP_ADDR": host,
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(place / "registry"),
    }
    registry = DebianRegistry(host, place / "registry.log")
    with registry.log.open("wb") as log:
        command = [program, "serve", str(place / "registry.yml")]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            until_it_listens(registry, process)
            yield registry
        finally:
            process.terminate()
            process.wait()


def until_it_listens(registry: DebianRegistry, process: subprocess.Popen[bytes]) -> None:
    address, _, port = registry.host.rpartition(":")
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((address, int(port)), 1).close()
        except OSError:
            assert process.poll() is None, registry.log.read_text(errors="replace")
            assert time.monotonic() < deadline, "docker-registry does not listen"
            time.sleep(0.05)
        else:
            return
