#!/usr/bin/env python3
"""Make the container images of our tests from this machine's own Debian binaries.

No image can be pulled where our CI runs, so the tests bring their own: a registry and an nginx,
each put together from a Debian package's binary, the shared libraries that `ldd` names, busybox
as the shell, and a configuration like the official image's. Nothing but the standard library.

An image is written as the archive that `docker save` would write, not by `docker import`: so it
has several layers, keeps ENTRYPOINT and STOPSIGNAL, is loaded by Docker and Podman alike, and comes
out with the same id for the same binaries, by which an image that is already there is recognised.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "pytest-registry-ci"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
# Fixed, or the id would change with every build.
CREATED = "2000-01-01T00:00:00Z"

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
GROUP = "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n"

# What the official image's entry point does: a configuration file means "serve it".
ENTRYPOINT = """\
#!/bin/sh
set -e
case "$1" in
    *.yaml | *.yml) set -- registry serve "$@" ;;
    serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
"""

REGISTRY_CONFIG = """\
version: 0.1
log:
  fields:
    service: registry
storage:{delete}
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""
DELETE_ENABLED = "\n  delete:\n    enabled: true"

NGINX_CONFIG = """\
user www-data;
worker_processes 1;
error_log /dev/stderr notice;
events { worker_connections 256; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    server {
        listen 80;
        root /usr/share/nginx/html;
    }
}
"""


@dataclass(frozen=True)
class Entry:
    """One file, directory or symbolic link of a layer."""

    data: bytes = b""
    mode: int = 0o644
    link: str = ""
    directory: bool = False


Layer = dict[str, Entry]


@dataclass(frozen=True)
class Image:
    """An image as it will stand in the archive: its name, its layers and how it starts."""

    name: str
    layers: tuple[Layer, ...]
    start: dict[str, object] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The whole name, as an engine shows it."""
        return f"{PREFIX}/{self.name}"


def file(text: str, mode: int = 0o644) -> Entry:
    """A file with this text."""
    return Entry(text.encode(), mode)


def folder(mode: int = 0o755) -> Entry:
    """An empty directory."""
    return Entry(mode=mode, directory=True)


def host_file(path: str | Path) -> Entry:
    """A copy of this machine's file, links followed."""
    source = Path(path)
    return Entry(source.read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)


def libraries(binary: str) -> Layer:
    """The shared libraries and the loader that a binary needs, at the paths where it looks."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    paths = re.findall(r"(/\S+) \(0x", listed.stdout)
    return {path.lstrip("/"): host_file(path) for path in paths}


def base_layer() -> Layer:
    """What every image stands on: accounts, directories and the C library."""
    return {
        "etc/passwd": file(PASSWD),
        "etc/group": file(GROUP),
        "tmp": folder(0o1777),
        "run": folder(),
        "root": folder(0o700),
        **libraries("/bin/true"),
    }


def shell_layer() -> Layer:
    """Busybox under the name of each of its commands."""
    listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True)
    links = {f"bin/{name}": Entry(link="busybox", mode=0o777) for name in listed.stdout.split()}
    return {**links, "bin/busybox": host_file("/bin/busybox")}


def registry_layer() -> Layer:
    """The registry's binary, where the official image has it, and its data directory."""
    binary = "/usr/bin/docker-registry"
    return {
        **libraries(binary),
        "bin/registry": host_file(binary),
        "var/lib/registry": folder(),
    }


def registry_image(name: str, config_path: str, *, delete: bool, shell: bool = True) -> Image:
    """A registry that starts like the official image, or without any shell in it."""
    config = file(REGISTRY_CONFIG.format(delete=DELETE_ENABLED if delete else ""))
    settings: Layer = {config_path.lstrip("/"): config}
    layers = [base_layer(), registry_layer()]
    entrypoint, command = ["/bin/registry"], ["serve", config_path]
    if shell:
        layers.insert(1, shell_layer())
        settings["entrypoint.sh"] = file(ENTRYPOINT, 0o755)
        entrypoint, command = ["/entrypoint.sh"], [config_path]
    start: dict[str, object] = {
        "Entrypoint": entrypoint,
        "Cmd": command,
        "ExposedPorts": {"5000/tcp": {}},
        "Volumes": {"/var/lib/registry": {}},
    }
    return Image(name, (*layers, settings), start)


def nginx_image() -> Image:
    """An nginx that serves its welcome page on port 80, in the foreground."""
    binary = "/usr/sbin/nginx"
    program: Layer = {
        **libraries(binary),
        "usr/sbin/nginx": host_file(binary),
        "var/lib/nginx": folder(),
        "var/log/nginx": folder(),
    }
    site: Layer = {
        "etc/nginx/nginx.conf": file(NGINX_CONFIG),
        "etc/nginx/mime.types": host_file("/etc/nginx/mime.types"),
        "usr/share/nginx/html/index.html": host_file("/usr/share/nginx/html/index.html"),
    }
    start: dict[str, object] = {
        "Cmd": ["nginx", "-g", "daemon off;"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
    }
    return Image("nginx:1", (base_layer(), shell_layer(), program, site), start)


def all_images() -> Iterator[Image]:
    """Every image of the tests."""
    # The official registry:2 refuses deletion unless it is told otherwise; registry:3 allows it.
    yield registry_image("registry:2", "/etc/docker/registry/config.yml", delete=False)
    yield registry_image("registry:3", "/etc/distribution/config.yml", delete=True)
    yield registry_image(
        "registry:shell-less", "/etc/docker/registry/config.yml", delete=True, shell=False
    )
    yield nginx_image()


def tar_member(name: str, entry: Entry) -> tarfile.TarInfo:
    """The header of one entry, owned by root and without a time: the same in every build."""
    info = tarfile.TarInfo(name)
    info.mode, info.size = entry.mode, len(entry.data)
    if entry.directory:
        info.type = tarfile.DIRTYPE
    elif entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
    return info


def tar(entries: Layer) -> bytes:
    """A tar of the entries, sorted by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, entry in sorted(entries.items()):
            archive.addfile(tar_member(name, entry), io.BytesIO(entry.data))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    """The hexadecimal SHA-256 of the data."""
    return hashlib.sha256(data).hexdigest()


def pack(image: Image) -> tuple[str, bytes]:
    """The image's id and its archive, in the form of `docker save`."""
    layers = [tar(layer) for layer in image.layers]
    machine = platform.machine()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": CREATED,
            "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], **image.start},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(one)}" for one in layers]},
            "history": [{"created": CREATED, "created_by": "tools/engine_images.py"}] * len(layers),
        }
    ).encode()
    layer_files = {f"{sha256(one)}/layer.tar": Entry(one) for one in layers}
    config_file = f"{sha256(config)}.json"
    manifest = [{"Config": config_file, "RepoTags": [image.tag], "Layers": list(layer_files)}]
    archive = {"manifest.json": file(json.dumps(manifest)), config_file: Entry(config)}
    return f"sha256:{sha256(config)}", tar({**archive, **layer_files})


def engine_has(command: str, tag: str, image_id: str) -> bool:
    """Whether the engine has exactly this image under this name."""
    found = subprocess.run(
        [command, "image", "inspect", "--format", "{{.Id}}", tag],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip().removeprefix("sha256:") == image_id.removeprefix("sha256:")


def load(command: str, image: Image) -> None:
    """Put the image into the engine, unless it is there."""
    image_id, archive = pack(image)
    if engine_has(command, image.tag, image_id):
        print(f"{image.tag}: is there")
        return
    subprocess.run([command, "load", "--quiet"], input=archive, stdout=sys.stderr, check=True)
    print(f"{image.tag}: loaded")


def save(directory: Path, image: Image) -> None:
    """Write the image's archive into the directory."""
    path = directory / f"{image.name.replace(':', '-')}.tar"
    path.write_bytes(pack(image)[1])
    print(f"{image.tag}: {path}")


def main() -> None:
    """Load the images into an engine, or save them as archives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--save", metavar="DIR", type=Path, help="write archives instead")
    parser.add_argument("--engine", metavar="COMMAND", default="docker", help="docker or podman")
    options = parser.parse_args()
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    for image in all_images():
        if options.save:
            save(options.save, image)
        else:
            load(options.engine, image)


if __name__ == "__main__":
    main()
