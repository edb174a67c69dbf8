"""`python -m pytest_registry serve`: the registry on its own, for a look with any client."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.errors import StateError

if TYPE_CHECKING:
    from pytest_registry.server.settings import ServerSettings

PASSWORD_VARIABLE = "PYTEST_REGISTRY_PASSWORD"  # noqa: S105 - the variable's name
HELP = "serve a registry until it is interrupted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the sub-command."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="bind to it (default: %(default)s)")
    add(
        "--port", type=int, default=5000, metavar="N", help="0: any free one (default: %(default)s)"
    )
    add(
        "--username", metavar="NAME", help="ask for this account (default: anybody may do anything)"
    )
    add("--password", metavar="TEXT", help=f"its password; better in ${PASSWORD_VARIABLE}")
    add("--storage", type=Path, metavar="DIR", help="keep the content there (default: in memory)")
    add("--tls-certificate", type=Path, metavar="FILE", help="speak TLS with this PEM certificate")
    add("--tls-key", type=Path, metavar="FILE", help="its key (default: in the same file)")
    add(
        "--tls-client-ca", type=Path, metavar="FILE", help="ask clients for certificates of this CA"
    )
    add("--log", action="store_true", help="write a line for every request to standard error")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; returns the process's exit status."""
    password = arguments.password
    if password is None:
        password = os.environ.get(PASSWORD_VARIABLE)
    if arguments.username is not None and not password:
        return _fail(f"--username needs --password or ${PASSWORD_VARIABLE}")
    if arguments.username is None and arguments.password is not None:
        return _fail("--password needs --username")
    from pytest_registry.server.server import RegistryServer

    try:
        server = RegistryServer(_settings(arguments, password))
    except (OSError, StateError) as error:
        return _fail(str(error))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(_greeting(server.url, server.host, arguments.username), flush=True)
    try:
        server.serve_forever()
    finally:
        server.close()
    return 0


def _settings(arguments: argparse.Namespace, password: str | None) -> ServerSettings:
    from pytest_registry.server.settings import ServerSettings

    credentials = None
    if arguments.username is not None and password is not None:
        from pytest_registry.security.credentials import Credentials

        credentials = Credentials(arguments.username, password)
    return ServerSettings(
        host=arguments.host,
        port=arguments.port,
        storage=arguments.storage,
        credentials=credentials,
        certificate=arguments.tls_certificate,
        key=arguments.tls_key,
        client_ca=arguments.tls_client_ca,
        log=_log if arguments.log else None,
    )


def _greeting(url: str, host: str, username: str | None) -> str:
    if username is None:
        return f"A registry is serving at {url} (nobody has to log in)"
    return f"A registry is serving at {url} (docker login --username {username} {host})"


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _fail(why: str) -> int:
    print(f"pytest_registry serve: {why}", file=sys.stderr)
    return 2
