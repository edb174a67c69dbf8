"""Waiting until a registry answers a login."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import StartError

FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.1
ANSWER_TIMEOUT = 5.0
"""Seconds."""


def wait_until_ready(
    endpoint: Endpoint, deadline: float, log: Path, has_ended: Callable[[], bool]
) -> None:
    """Wait until `/v2/` answers 200 with the credentials; raises StartError with the log's end.

    `deadline` is on the monotonic clock, in seconds.
    """
    pause = FIRST_PAUSE
    while (problem := _problem(endpoint, deadline)) is not None:
        if has_ended():
            raise start_failed(endpoint, "it ended by itself", log)
        if time.monotonic() >= deadline:
            raise start_failed(endpoint, f"it did not answer in time; lastly: {problem}", log)
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def tail(log: Path, lines: int = 20) -> list[str]:
    """The last lines of a log; none where there is no log."""
    try:
        content = log.read_bytes()[-64 * 1024 :]
    except OSError:
        return []
    return content.decode("utf-8", "replace").splitlines()[-lines:]


def _problem(endpoint: Endpoint, deadline: float) -> str | None:
    """What keeps the registry from being ready, in words; None if it is."""
    import http.client  # brings ssl; an embedded registry is ready without being asked

    timeout = min(ANSWER_TIMEOUT, max(FIRST_PAUSE, deadline - time.monotonic()))
    if endpoint.auth == "bearer" or endpoint.tls != "off":
        return _problem_for_client(endpoint, timeout)
    connection = http.client.HTTPConnection(endpoint.host, timeout=timeout)
    try:
        connection.request("GET", "/v2/", headers={"Authorization": endpoint.credentials.basic})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status == HTTPStatus.OK else f"it answered {status} to a login"


def _problem_for_client(endpoint: Endpoint, timeout: float) -> str | None:
    """The same by a client that knows tokens and certificates, which takes longer to import."""
    from pytest_registry.clients.oci import OciClient
    from pytest_registry.clients.retries import RetryPolicy
    from pytest_registry.errors import RegistryError

    client = OciClient(
        endpoint.url,
        endpoint.credentials,
        ca_file=endpoint.ca_path,
        client_cert=endpoint.client_paths,
        timeout=timeout,
        retries=RetryPolicy(tries=1, patience=0.0),
    )
    with client:
        try:
            client.ping()
        except RegistryError as error:
            return error.happened
    return None


def start_failed(endpoint: Endpoint, happened: str, log: Path) -> StartError:
    """The error for a registry that was started in vain, with the log's end."""
    return StartError(
        f"start the {endpoint.engine} registry ({endpoint.detail})",
        happened,
        "see its log below; give it longer with --registry-start-timeout, or another image with"
        " --registry-image",
        log=tail(log),
    )
