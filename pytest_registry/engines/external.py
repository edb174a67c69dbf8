"""A registry that runs already and is not ours: used below a prefix that is the run's alone.

Nothing outside of the prefix is ever written or deleted. The prefix holds the time of its making,
so that what a run that was killed left behind can be told from what is in use, by anybody.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_registry.engines.endpoint import Birth, Endpoint
from pytest_registry.errors import (
    AuthenticationFailed,
    EngineUnavailable,
    ProtocolError,
    RateLimited,
    RegistryError,
    TransferError,
)
from pytest_registry.oci.namespace import WHOLE, Namespace
from pytest_registry.oci.reference import normal_registry
from pytest_registry.security.credentials import Credentials

if TYPE_CHECKING:
    from pytest_registry.clients.oci import OciClient

USERNAME = "PYTEST_REGISTRY_USERNAME"
PASSWORD = "PYTEST_REGISTRY_PASSWORD"  # noqa: S105 - the variable's name

ANONYMOUS = Credentials("", "")
"""The account of a registry that asks for none."""

NO_REGISTRY = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""Statuses at `/v2/` of what is none, or speaks TLS where it was not spoken to in TLS."""

NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""What OpenSSL says of an answer that is not TLS, by its versions."""

TIMEOUT = 60.0
"""Seconds that one answer may take."""

PAUSE = 0.5
"""Seconds between two attempts to reach the registry."""

_RUN = re.compile(r"(?:^|/)pytest-[0-9]+-[0-9a-f]{12}-(?P<epoch>[0-9]{10})/")
"""A run's own part of a name: `Run.id` and the time. Others name things `pytest-...` too."""


class ExternalEngine:
    """The registry at `url` (`SCHEME://HOST[:PORT][/PREFIX]`)."""

    uses_container_engine = False
    has_gate = False

    def __init__(self, url: str, reason: str) -> None:
        self._url = url
        self._reason = reason
        self._stopped = threading.Event()

    def start(self, birth: Birth) -> Endpoint:
        """Wait until it answers a login; raises EngineUnavailable, AuthenticationFailed."""
        host = normal_registry(urlsplit(self._url).netloc)
        credentials, whence = account_for(host)
        with (
            connect(self._url, credentials, timeout=birth.start_timeout) as client,
            telling_of_no_login(host, credentials),
        ):
            now = _reach(client, time.monotonic() + birth.start_timeout)
        prefix = urlsplit(self._url).path.strip("/")
        place = f"pytest-{birth.run_id}-{int(now)}"
        return Endpoint(
            engine="external",
            detail=f"external, {whence}",
            reason=self._reason,
            scheme=urlsplit(self._url).scheme,
            host=host,
            daemon_host=host,
            credentials=credentials,
            prefix=f"{prefix}/{place}" if prefix else place,
        )

    def wait(self) -> str:
        """Block until the run lets go: whether it goes on is not ours to know."""
        self._stopped.wait()
        return "the run let go of the external registry"

    def stop(self) -> None:
        """Let go of it."""
        self._stopped.set()


def account_for(host: str, environment: Mapping[str, str] = os.environ) -> tuple[Credentials, str]:
    """The account for a registry, and in words where it comes from.

    The environment's, else the user's own login as docker or podman keeps it (credential helpers
    included), else anonymous. Raises AuthenticationFailed where the environment gives but half of
    it.
    """
    from pytest_registry.clients.user_login import user_login

    username, password = environment.get(USERNAME), environment.get(PASSWORD)
    if username and password:
        return Credentials(username, password), f"as {username} (from {USERNAME})"
    if username or password:
        missing = PASSWORD if username else USERNAME
        happened = f"{missing} is missing in the environment"
        raise AuthenticationFailed(f"log in to {host}", happened, "give both or neither")
    found = user_login(host, environment)
    if found is not None:
        return found, f"as {found.username} (your own login)"
    return ANONYMOUS, "anonymously"


@contextlib.contextmanager
def telling_of_no_login(host: str, credentials: Credentials) -> Iterator[None]:
    """Where the registry refuses nobody in particular, say how to be somebody."""
    try:
        yield
    except AuthenticationFailed as error:
        if credentials != ANONYMOUS:
            raise
        from pytest_registry.clients.user_login import helper_for

        helper = helper_for(host)
        failed = f" ({helper}, which your Docker config names for it, gave none)" if helper else ""
        remedy = (
            f"nobody is logged in{failed}: give {USERNAME} and {PASSWORD} in the environment, or"
            f" use docker login {host}"
        )
        raise AuthenticationFailed(error.asked, error.happened, remedy) from error


def connect(
    url: str,
    credentials: Credentials,
    namespace: Namespace = WHOLE,
    *,
    timeout: float = TIMEOUT,
) -> OciClient:
    """A client of the whole registry, whatever the URL's own prefix is, or of a namespace.

    `timeout` is in seconds, for connecting and for each read, and at most TIMEOUT.
    """
    from pytest_registry.clients.oci import OciClient

    parts = urlsplit(url)
    account = None if credentials == ANONYMOUS else credentials
    return OciClient(
        f"{parts.scheme}://{parts.netloc}",
        account,
        namespace=namespace,
        timeout=min(timeout, TIMEOUT),
    )


def clear(endpoint: Endpoint, noted: Iterable[str]) -> list[str]:
    """Delete what lies below the endpoint's prefix; what could not be deleted, as references.

    `noted` are repositories that are known to have been used, for a registry without a catalog.
    Raises AuthenticationFailed, RateLimited, TransferError.
    """
    below = f"{endpoint.prefix}/"
    with connect(endpoint.origin, endpoint.credentials) as client:
        names = {*noted, *_catalog(client)}
        mine = sorted(name for name in names if name.startswith(below))
        return [left for name in mine for left in client.clear(name)]


def made_by_run(repository: str, prefix: str) -> float | None:
    """When the run began that made a repository, in seconds of the epoch; None if no run did."""
    if prefix and not repository.startswith(f"{prefix}/"):
        return None
    found = _RUN.match(repository[len(prefix) :] if prefix else repository)
    return None if found is None else float(found["epoch"])


def _catalog(client: OciClient) -> list[str]:
    try:
        return client.repositories()
    except RateLimited:
        raise
    except RegistryError:
        return []  # it has none, or not for this account: what was noted is all that is known


def _reach(client: OciClient, deadline: float) -> float:
    """Wait until the registry answers a login; the time by its own clock."""
    while True:
        try:
            return client.time()
        except TransferError as error:
            lasting = _lasting(error)
            if lasting or time.monotonic() >= deadline or isinstance(error, RateLimited):
                otherwise = "check --registry-url, and whether this machine may reach it"
                remedy = lasting or error.remedy or otherwise
                asked = f"reach the registry {client.host}"
                raise EngineUnavailable(
                    asked, error.happened, remedy, section="no-registry"
                ) from error
            time.sleep(PAUSE)


def _lasting(error: TransferError) -> str:
    """What to do about a failure that waiting does not mend; empty for any other."""
    status = error.status if isinstance(error, ProtocolError) else None
    if status in NO_REGISTRY:
        return (
            "what answers there is not a registry: check scheme, host and port of --registry-url,"
            " and that its /v2/ is not behind a path"
        )
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                "let SSL_CERT_FILE in the environment name a file with the certificate of the"
                " authority that signed the registry's, and use the host name that it is for"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS:
            return "the port does not speak TLS: write http://, or the port that does"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
