"""Podman's service, where it is not what Docker's engine is.

It takes no registry for insecure, not even on a loopback address, unless its own registries.conf
says so, and it knows no CA but its own system's. So it is told with each push and pull of the run's
registry that certificates are not compared and plain HTTP will do, as a Docker engine decides for
loopback addresses by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import docker

LIBPOD = "v4.0.0/libpod"
"""The API's own version, not Podman's; Docker's compatible part takes no `tlsVerify` for pulls."""


def is_podman(client: docker.DockerClient) -> bool:
    """Whether Podman answers."""
    components = client.version().get("Components") or ()
    return any("podman" in str(part.get("Name", "")).lower() for part in components)


def push(
    client: docker.DockerClient, repository: str, target: str, login: dict[str, str] | None
) -> Iterator[dict[str, Any]]:
    """Push a local tag; the lines of the stream, decoded."""
    api = client.api
    url = api._url("/images/{0}/push", repository)
    return _stream(client, url, {"tag": target, "tlsVerify": "false"}, login)


def pull(
    client: docker.DockerClient, reference: str, login: dict[str, str] | None
) -> Iterator[dict[str, Any]]:
    """Pull by a whole reference; the lines of the stream, decoded."""
    url = f"{client.api.base_url}/{LIBPOD}/images/pull"
    return _stream(client, url, {"reference": reference, "tlsVerify": "false"}, login)


def _stream(
    client: docker.DockerClient, url: str, query: dict[str, str], login: dict[str, str] | None
) -> Iterator[dict[str, Any]]:
    from docker.auth import encode_header

    headers = {} if login is None else {"X-Registry-Auth": encode_header(login).decode("ascii")}
    api = client.api
    answer = api._post(url, params=query, headers=headers, stream=True)
    api._raise_for_status(answer)
    return (line for line in api._stream_helper(answer, decode=True) if isinstance(line, dict))
