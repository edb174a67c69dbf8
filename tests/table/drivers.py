"""Clients of other makers, each as its own users drive it: push, forget, pull back, compare.

A driver is given a registry, a repository of its own there, and a directory; it returns the digest
that it pushed and the one that it then pulled. It raises what the client raises.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_registry import Registry, synthetic_image
from pytest_registry.oci.names import digest_of

Digests = tuple[str, str]
Driver = Callable[[Registry, str, Path], Digests]

DIGEST_HEADER = "Docker-Content-Digest"


class CommandFailed(Exception):
    """A command ended with another status than 0; its output is the message."""


def run(registry: Registry, *command: str, **environment: str) -> str:
    """What a command prints, in the environment that users are given."""
    done = subprocess.run(
        command,
        env={**registry.environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise CommandFailed(done.stderr or done.stdout)
    return done.stdout.strip()


def ours(registry: Registry, repository: str, directory: Path) -> Digests:
    """registry.client."""
    made = synthetic_image(seed=fresh())
    registry.client.push(made, repository, "1")
    return made.digest, registry.client.pull(repository, "1", directory / "layout").digest


def docker_command(registry: Registry, repository: str, directory: Path) -> Digests:
    """`docker pull`, `tag`, `push` and `pull` again."""
    reference = registry.reference(repository, "1")
    docker = registry.docker_command
    with imported(registry, reference):
        docker.push(reference)
        pushed = registry.manifest(repository, "1").digest
        docker.run("rmi", reference)
        docker.pull(reference)
        pulled = docker.run("inspect", "--format", "{{json .RepoDigests}}", reference)
    return pushed, repo_digest(json.loads(pulled.stdout), repository)


def docker_py(registry: Registry, repository: str, directory: Path) -> Digests:
    """`client.images`."""
    reference = registry.reference(repository, "1")
    client = registry.docker
    with imported(registry, reference):
        client.images.push(reference)
        pushed = registry.manifest(repository, "1").digest
        client.images.remove(reference)
        client.images.pull(reference)
        digests = client.images.get(reference).attrs["RepoDigests"]
    return pushed, repo_digest(digests, repository)


@contextlib.contextmanager
def imported(registry: Registry, reference: str) -> Iterator[None]:
    """A small image of its own in the container engine under this name, and gone again."""
    import docker

    repository, _, tag = reference.rpartition(":")
    registry.expect_engine_use()
    client = docker.from_env()
    archive = tar_of(secrets.token_bytes(64))
    client.api.import_image_from_data(archive, repository=repository, tag=tag)
    try:
        yield
    finally:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.remove(reference, force=True)
        client.close()


def skopeo(registry: Registry, repository: str, directory: Path) -> Digests:
    """`skopeo copy` from an OCI layout and into another."""
    made = written(directory / "made")
    there = f"docker://{registry.reference(repository, '1')}"
    certificates = cert_directory(registry)
    # skopeo, unlike podman and buildah, does not read CONTAINERS_REGISTRIES_CONF.
    plain = registry.scheme == "http"
    to = ["--dest-tls-verify=false"] if plain else each("--dest-", certificates)
    run(registry, "skopeo", "copy", *to, f"oci:{made}:1", there)
    back = directory / "back"
    origin = ["--src-tls-verify=false"] if plain else each("--src-", certificates)
    run(registry, "skopeo", "copy", *origin, there, f"oci:{back}:1")
    return layout_digest(made), layout_digest(back)


def buildah(registry: Registry, repository: str, directory: Path) -> Digests:
    """`buildah from`, `commit`, `push`, `rmi`, `pull`."""
    with storage() as own:
        return _buildah(registry, repository, directory, own)


def _buildah(registry: Registry, repository: str, directory: Path, own: list[str]) -> Digests:
    reference = f"docker://{registry.reference(repository, '1')}"
    certificates = each("--", cert_directory(registry))
    container = run(registry, "buildah", *own, "from", "scratch")
    (directory / "content").write_bytes(secrets.token_bytes(64))
    run(registry, "buildah", *own, "add", container, str(directory / "content"), "/content")
    image = run(registry, "buildah", *own, "commit", "--rm", container, "made")
    digest = directory / "digest"
    run(
        registry, "buildah", *own, "push", *certificates,
        f"--digestfile={digest}", image.splitlines()[-1], reference,
    )  # fmt: skip
    run(registry, "buildah", *own, "rmi", "--all", "--force")
    run(registry, "buildah", *own, "pull", *certificates, reference)
    return digest.read_text(), images_digest(registry, "buildah", own)


def podman(registry: Registry, repository: str, directory: Path) -> Digests:
    """`podman import`, `push`, `rmi`, `pull`."""
    with storage() as own:
        return _podman(registry, repository, directory, own)


def _podman(registry: Registry, repository: str, directory: Path, own: list[str]) -> Digests:
    reference = registry.reference(repository, "1")
    certificates = each("--", cert_directory(registry))
    archive = directory / "content.tar"
    archive.write_bytes(tar_of(secrets.token_bytes(64)))
    run(registry, "podman", *own, "import", "--quiet", str(archive), reference)
    digest = directory / "digest"
    run(registry, "podman", *own, "push", *certificates, f"--digestfile={digest}", reference)
    run(registry, "podman", *own, "rmi", "--all", "--force")
    run(registry, "podman", *own, "pull", *certificates, reference)
    return digest.read_text(), images_digest(registry, "podman", own)


def oras_py(registry: Registry, repository: str, directory: Path) -> Digests:
    """oras-py's own client: one file pushed as an artifact, and pulled."""
    import oras.client

    secure = registry.scheme == "https"
    basic = registry.endpoint.auth == "basic"
    client = oras.client.OrasClient(
        hostname=registry.host,
        insecure=not secure,
        tls_verify=str(registry.ca_file) if secure else True,
        auth_backend="basic" if basic else "token",
    )
    client.session.cert = certificate_of(registry)
    client.session.trust_env = False
    account = registry.credentials
    if basic:
        client.auth.set_basic_auth(account.username, account.password)
    if registry.endpoint.auth == "bearer":
        # It keeps the first token that it gets, which is one to pull with.
        client.auth.set_token_auth(registry.http.token(f"repository:{repository}:pull,push"))
    content = secrets.token_bytes(64)
    (directory / "file").write_bytes(content)
    target = registry.reference(repository, "1")
    answer = client.push(
        target, files=[str(directory / "file")], disable_path_validation=True, quiet=True
    )
    (pulled,) = client.pull(target, outdir=str(directory / "out"))
    assert Path(pulled).read_bytes() == content
    manifest = registry.manifest(repository, "1")
    return answer.headers.get(DIGEST_HEADER) or manifest.digest, manifest.digest


def python_dxf(registry: Registry, repository: str, directory: Path) -> Digests:
    """python-dxf's own client: a blob with an alias, and back."""
    from dxf import DXF

    secure = registry.scheme == "https"

    def log_in(client: Any, response: Any) -> None:
        account = registry.credentials
        client.authenticate(account.username, account.password, response=response)

    content = secrets.token_bytes(64)
    (directory / "blob").write_bytes(content)
    with DXF(
        registry.host,
        repository,
        auth=None if registry.endpoint.auth == "none" else log_in,
        insecure=not secure,
        tlsverify=str(registry.ca_file) if secure else True,
        timeout=30,
    ) as client:
        client._sessions[0].cert = certificate_of(registry)
        client._sessions[0].trust_env = False
        blob = client.push_blob(str(directory / "blob"))
        client.set_alias("1", blob)
        (found,) = client.get_alias("1")
        pulled = b"".join(client.pull_blob(found))
    return digest_of(content), digest_of(pulled)


DRIVERS: dict[str, Driver] = {
    "registry.client": ours,
    "docker": docker_command,
    "docker-py": docker_py,
    "skopeo": skopeo,
    "buildah": buildah,
    "podman": podman,
    "oras-py": oras_py,
    "python-dxf": python_dxf,
}


def fresh() -> int:
    """A seed that no other cell has."""
    return secrets.randbits(48)


def written(directory: Path) -> Path:
    """A new image as an OCI layout, tagged 1."""
    from pytest_registry.images.layout_writer import LayoutWriter
    from pytest_registry.images.transfer import transfer

    transfer(synthetic_image(seed=fresh()), LayoutWriter(directory, "1"))
    return directory


def layout_digest(directory: Path) -> str:
    """The digest of a layout's only image."""
    (image,) = json.loads((directory / "index.json").read_text())["manifests"]
    return str(image["digest"])


def tar_of(content: bytes) -> bytes:
    """A tar archive of one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def repo_digest(found: list[str], repository: str) -> str:
    """The digest that an engine knows a repository's image by."""
    digests = [each.partition("@")[2] for each in found if f"/{repository}@" in each]
    return digests[0] if digests else f"none for {repository} in {found}"


def images_digest(registry: Registry, program: str, own: list[str]) -> str:
    """The digest of the only image in a storage."""
    return run(registry, program, *own, "images", "--no-trunc", "--format", "{{.Digest}}")


@contextlib.contextmanager
def storage() -> Iterator[list[str]]:
    """A storage that needs nothing of the kernel; podman takes no path of over 50 characters."""
    with tempfile.TemporaryDirectory(prefix="c-", ignore_cleanup_errors=True) as directory:
        yield [
            f"--root={directory}/storage",
            f"--runroot={directory}/run",
            "--storage-driver=vfs",
        ]


def cert_directory(registry: Registry) -> str | None:
    """Where the client's certificate is, if one is needed; the CA comes by the environment."""
    return str(registry.certificate_directory) if registry.endpoint.tls == "mutual" else None


def each(prefix: str, certificates: str | None) -> list[str]:
    """The option that names the directory."""
    return [] if certificates is None else [f"{prefix}cert-dir={certificates}"]


def certificate_of(registry: Registry) -> tuple[str, str] | None:
    """The client's certificate and key for requests."""
    return registry.endpoint.client_cert
