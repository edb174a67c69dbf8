"""What real clients do about each fault: the documentation's table, and how it is found out."""

from __future__ import annotations

import contextlib
import re
import secrets
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_registry import Image, Registry, Requests

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "break-the-registry.md"

Pull = Callable[[Registry, Image, Path], None]

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "429, Retry-After 2": {"on": "GET blob", "status": 429, "retry_after": 2, "times": 1},
    "503": {"on": "GET blob", "status": 503, "times": 1},
    "reset in mid-blob": {"on": "GET blob", "reset": "middle", "times": 1},
    "truncated blob": {"on": "GET blob", "truncate": "middle", "times": 1},
}

AGAIN, RESUMES, FAILS = "tries again", "resumes", "fails"
PATIENT, HASTY = "tries again, as late as asked", "tries again, **too soon**"

EXPECTED: Mapping[str, tuple[str, ...]] = {
    "docker": (HASTY, AGAIN, RESUMES, RESUMES),
    "skopeo": (PATIENT, FAILS, FAILS, FAILS),
    "oras-py": (FAILS, FAILS, FAILS, FAILS),
    "registry.client": (PATIENT, AGAIN, RESUMES, RESUMES),
}
"""What each client does about each of FAULTS, in their order."""


class Failed(Exception):
    """A client gave up."""


def run(registry: Registry, *command: str) -> None:
    """Run a command as users do; raises Failed."""
    done = subprocess.run(
        command,
        env=registry.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise Failed(done.stderr or done.stdout)


def docker(registry: Registry, image: Image, directory: Path) -> None:
    """`docker pull`."""
    try:
        run(registry, "docker", "pull", image.reference)
    finally:
        subprocess.run(["docker", "rmi", image.reference], capture_output=True, check=False)


def skopeo(registry: Registry, image: Image, directory: Path) -> None:
    """`skopeo copy` into an OCI layout."""
    source = f"docker://{image.reference}"
    run(registry, "skopeo", "copy", "--src-tls-verify=false", source, f"oci:{directory}:latest")


def oras_py(registry: Registry, image: Image, directory: Path) -> None:
    """oras-py's own client."""
    import oras.client

    client = oras.client.OrasClient(hostname=registry.host, insecure=True, auth_backend="basic")
    client.session.trust_env = False
    client.auth.set_basic_auth(registry.credentials.username, registry.credentials.password)
    client.pull(image.reference, outdir=str(directory))


def ours(registry: Registry, image: Image, directory: Path) -> None:
    """registry.client."""
    registry.client.pull(image.repository, image.tag, directory / "layout")


CLIENTS: Mapping[str, Pull] = {
    "docker": docker,
    "skopeo": skopeo,
    "oras-py": oras_py,
    "registry.client": ours,
}


def outcome(client: str, fault: str, registry: Registry, directory: Path) -> str:
    """What a client does about a fault that happens once, to the only layer that it pulls."""
    from pytest_registry import synthetic_image

    made = synthetic_image(secrets.randbits(48), layer_size=2_000_000)
    image = registry.push(made, f"pulled/{secrets.token_hex(4)}")
    layer = registry.manifest(image.repository, image.tag).layers[0].digest
    before = len(registry.requests)
    error = ""
    with registry.faults(**FAULTS[fault], repository=image.repository, reference=layer) as active:
        try:
            CLIENTS[client](registry, image, directory)
        except Exception as raised:  # whatever the client raises
            error = str(raised)
    assert active.hits == 1, f"{client} did not fetch the layer: {error}"
    seen = registry.requests[before:].where("GET blob", reference=layer)
    seen = seen.where(matching=lambda each: bool(each.account))  # without those that log in
    return described(seen, failed=bool(error))


def described(seen: Requests, *, failed: bool) -> str:
    """In words what became of a layer."""
    if failed:
        return "fails" if len(seen) == 1 else f"fails after {len(seen)} tries"
    if len(seen) == 1:
        return "**takes the part for the whole**"
    again = "resumes" if seen[-1].status == 206 else "tries again"
    told = seen[0].retry_after
    if told is None:
        return again
    with contextlib.suppress(AssertionError):
        seen.assert_backed_off()
        return f"{again}, as late as asked"
    return f"{again}, **too soon**"


def with_table(text: str) -> str:
    """The page with the table made anew."""
    return re.sub(
        r"(<!-- faults: .*? -->\n\n).*?(\n\n<!-- end faults -->)",
        lambda found: f"{found[1]}{table()}{found[2]}",
        text,
        flags=re.DOTALL,
    )


def table() -> str:
    """The table of the documentation."""
    head = ["client", *FAULTS]
    rows = [[client, *EXPECTED[client]] for client in CLIENTS]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
