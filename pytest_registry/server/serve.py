"""`python -m pytest_registry serve`: the registry on its own, for a look with any client."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from pytest_registry.errors import StateError

if TYPE_CHECKING:
    from pytest_registry.server.settings import ServerSettings

PASSWORD_VARIABLE = "PYTEST_REGISTRY_PASSWORD"  # noqa: S105 - the variable's name
_VARIABLE = f"${PASSWORD_VARIABLE}"
_LAST_PORT = 65535
_PEM_FILES = ("--tls-certificate", "--tls-key", "--tls-client-ca")
_OF_ADDRESSES = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}
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
    add("--storage", metavar="DIR", help="keep the content there (default: in memory)")
    add("--tls-certificate", metavar="FILE", help="speak TLS with this PEM certificate")
    add("--tls-key", metavar="FILE", help="its key (default: in the same file)")
    add("--tls-client-ca", metavar="FILE", help="ask clients for certificates of this CA")
    add("--log", action="store_true", help="write a line for every request to standard error")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; returns the process's exit status."""
    password = arguments.password
    if password is None:
        password = os.environ.get(PASSWORD_VARIABLE)
    if problem := _problem(arguments, password) or _missing(arguments):
        return _fail(problem)
    from pytest_registry.server.server import RegistryServer, open_many_files

    open_many_files()
    try:
        server = RegistryServer(_settings(arguments, password))
    except StateError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_with_options(error, arguments))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # not by nohup
            signal.signal(number, lambda *_: server.stop())
    signal.set_wakeup_fd(server.wakeup_fd)
    print(_greeting(server.url, server.host, arguments.username), flush=True)
    try:
        server.serve_forever()
    finally:
        signal.set_wakeup_fd(-1)
        server.close()
    return 0


def _problem(arguments: argparse.Namespace, password: str | None) -> str:
    """What of the arguments cannot be meant, empty if all can.

    Half of what keeps others out, and a registry that is open to all, is never what was asked for.
    """
    username, certificate = arguments.username, arguments.tls_certificate
    checks = (
        (not 0 <= arguments.port <= _LAST_PORT, f"--port is none of 0 to {_LAST_PORT}"),
        (username is not None and not password, f"--username needs --password or {_VARIABLE}"),
        (username is None and arguments.password is not None, "--password needs --username"),
        (username is None and password, f"{_VARIABLE} needs --username"),
        (username is not None and not username, "--username is empty"),
        (":" in (username or ""), "--username holds a colon, which ends it in a login"),
        (certificate is None and arguments.tls_key, "--tls-key needs --tls-certificate"),
        (
            certificate is None and arguments.tls_client_ca,
            "--tls-client-ca needs --tls-certificate",
        ),
    )
    return next((problem for wrong, problem in checks if wrong), "")


def _missing(arguments: argparse.Namespace) -> str:
    """The file that an option names and that cannot be read; empty if all can.

    So it is with the directory above the storage: it would be made too, for a slip of the hand.
    """
    named = [(option, path) for option in _PEM_FILES if (path := _given(arguments, option))]
    if arguments.storage is not None:
        named.append(("--storage", os.path.dirname(os.path.abspath(arguments.storage))))
    for option, path in named:
        try:
            os.stat(path) if option == "--storage" else open(path, "rb").close()
        except OSError as error:
            return f"{option}: {error.strerror}: {path}"
    return ""


def _with_options(error: OSError, arguments: argparse.Namespace) -> str:
    """What happened, with the options that it comes from: only errors of files name those."""
    import socket

    if type(error).__module__ == "ssl":
        options = [name for name in _PEM_FILES if _given(arguments, name) is not None]
    elif isinstance(error, socket.gaierror) or error.errno in _OF_ADDRESSES:
        options = ["--host", "--port"]
    else:
        return str(error)
    given = " ".join(f"{name} {_given(arguments, name)}" for name in options)
    return f"{given}: {error.strerror}"


def _given(arguments: argparse.Namespace, option: str) -> Any:
    return getattr(arguments, option.removeprefix("--").replace("-", "_"))


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
