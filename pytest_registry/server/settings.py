"""How an embedded registry is served."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pytest_registry.server.authentication import Authenticator, Basic, OpenToAll
from pytest_registry.server.records import RequestRecord
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_registry.security.credentials import Credentials
    from pytest_registry.server.routes import Route

StrPath = str | os.PathLike[str]
Proceed = Callable[[Request], Response]
Interceptor = Callable[[Request, Proceed], Response]
"""Stands before every handler: answers itself, or calls `proceed` and may change its answer. The
request's route, repository, reference and account are known by then; a refused account is refused
by `proceed`. It may raise ApiError."""


class ServerSettings(NamedTuple):
    """Settings of one server; nothing is read from the environment.

    `port` 0 lets the kernel choose. `storage` is a directory of the server's own, made if missing
    and refused if others have put something there; None keeps everything in memory. `credentials`
    asks every client for HTTP Basic; `authenticator` takes precedence over them. `routes` is the
    route table if it is not the registry's own. `certificate` and `key` (PEM files) make it speak
    TLS; `client_ca` asks clients for a certificate of that authority. `timeout` is the seconds
    after which a client that neither sends nor takes a byte is dropped, or has not sent a whole
    head, `upload_timeout` those after which an upload session that nobody continues is forgotten.

    `observer` is called with the record of every finished request, `log` with one line for it (and
    for what went wrong inside), both in the thread that served it: they must not block. Without
    `access_log` only what went wrong is logged.
    """

    host: str = "127.0.0.1"
    port: int = 0
    storage: StrPath | None = None
    credentials: "Credentials | None" = None
    authenticator: Authenticator | None = None
    routes: "Sequence[Route] | None" = None
    certificate: StrPath | None = None
    key: StrPath | None = None
    client_ca: StrPath | None = None
    timeout: float = 120.0
    upload_timeout: float = 3600.0
    observer: Callable[[RequestRecord], None] | None = None
    access_log: bool = True
    interceptor: Interceptor | None = None
    log: Callable[[str], None] | None = None

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.certificate is None else "https"

    def accounts(self) -> Authenticator:
        """The authenticator that these settings ask for."""
        if self.authenticator is not None:
            return self.authenticator
        if self.credentials is None:
            return OpenToAll()
        from pytest_registry.security import accounts

        return Basic(accounts.FixedAccounts((accounts.Account.of_everything(self.credentials),)))

    def endpoints(self) -> "Sequence[Route]":
        """The route table that these settings ask for."""
        from pytest_registry.server.routes import ROUTES

        return ROUTES if self.routes is None else self.routes
