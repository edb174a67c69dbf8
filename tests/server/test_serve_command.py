"""`python -m pytest_registry serve`, and what importing the server costs."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_registry.security.credentials import Credentials

COMMAND = [sys.executable, "-m", "pytest_registry", "serve"]
HANGING_UP = ["env", "--default-signal=HUP", *COMMAND]  # also where these tests run under nohup
PASSWORD = "a-password-that-nobody-prints"

# As if each signal came in the instant before the main thread falls asleep: another thread gets it.
SIGNALLED_ELSEWHERE = """
import signal, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
from pytest_registry.__main__ import main
sys.exit(main())
"""


@contextmanager
def serving(
    *arguments: str, command: Sequence[str] = HANGING_UP, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the one line that it prints."""
    process = subprocess.Popen(
        [*command, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def ask(line: str, **headers: str) -> int:
    address = line.partition("http://")[2].split()[0]
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/v2/", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_serves_until_a_signal_ends_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with serving("--storage", str(tmp_path / "storage")) as (process, line):
        assert line.startswith("A registry is serving at http://127.0.0.1:")
        assert ask(line) == 200
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert (tmp_path / "storage" / "journal").exists()


def test_a_signal_that_does_not_interrupt_its_sleep_ends_it_too() -> None:
    with serving(command=[sys.executable, "-c", SIGNALLED_ELSEWHERE, "serve"]) as (process, line):
        assert ask(line) == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_outlives_a_hangup_where_nohup_started_it(tmp_path: Path) -> None:
    storage = ("--storage", str(tmp_path / "storage"))
    with serving(*storage, command=["nohup", *COMMAND]) as (process, line):
        process.send_signal(signal.SIGHUP)
        assert ask(line) == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_says_how_to_log_in_and_keeps_the_password(tmp_path: Path) -> None:
    login = Credentials("someone", PASSWORD).basic
    for password, environment in (
        (["--password", PASSWORD], {}),
        ([], {"PYTEST_REGISTRY_PASSWORD": PASSWORD}),
    ):
        with serving("--username", "someone", "--log", *password, **environment) as (process, line):
            host = line.partition("http://")[2].split()[0]
            assert f"docker login --username someone {host}" in line
            assert (ask(line), ask(line, Authorization=login)) == (401, 200)
            process.terminate()
            output, errors = process.communicate(timeout=10)
            assert "GET /v2/ 401" in errors
            assert PASSWORD not in line + output + errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--username", "someone"], "needs --password or $PYTEST_REGISTRY_PASSWORD"),
        (["--password", PASSWORD], "--password needs --username"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1 --port 0: "),
        (["--host", "a..b"], "--host a..b --port 0: "),
        (["--tls-certificate", "/absent"], "--tls-certificate: No such file or directory: /absent"),
        (["--tls-certificate", __file__, "--tls-key", "/"], "--tls-key: Is a directory: /"),
        (["--tls-certificate", __file__, "--tls-client-ca", "/absent"], "--tls-client-ca: No such"),
        (["--tls-certificate", __file__], f"--tls-certificate {__file__}: [SSL] PEM lib"),
        (["--storage", "/absent/a/b"], "--storage: No such file or directory: /absent/a"),
        (["--storage", "/dev/null/x"], "Not a directory"),
        (["--port", "x"], "invalid int value"),
        (["--port", "70000"], "--port is none of 0 to 65535"),
        (["--port", "-1"], "--port is none of 0 to 65535"),
        (["--username", "a:b", "--password", PASSWORD], "--username holds a colon"),
        (["--username", "", "--password", PASSWORD], "--username is empty"),
        (["--tls-client-ca", "/absent"], "--tls-client-ca needs --tls-certificate"),
        (["--tls-key", "/absent"], "--tls-key needs --tls-certificate"),
    ],
)
def test_what_it_cannot_do_is_one_line(arguments: list[str], message: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_REGISTRY_PASSWORD"}
    done = subprocess.run(
        [*COMMAND, "--port", "0", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr


def test_it_makes_the_directory_that_is_named_and_none_above_it(tmp_path: Path) -> None:
    told = refused(tmp_path / "a" / "b")
    missing = f"No such file or directory: {tmp_path / 'a'}"
    assert told == [f"pytest_registry serve: --storage: {missing}"]
    assert not list(tmp_path.iterdir())


def refused(directory: Path) -> list[str]:
    """What a registry says that does not serve from that directory."""
    command = [*COMMAND, "--port", "0", "--storage", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    return done.stderr.splitlines()


def test_a_directory_of_others_or_of_another_registry_is_refused_with_what_explains_it(
    tmp_path: Path,
) -> None:
    told, remedy, docs = refused(Path(__file__).parent)
    assert told.endswith("it holds files and is no registry's directory")
    assert remedy == "What to do: name an empty or a new one"
    assert docs == "Docs: python -m pytest_registry explain not-a-registrys"
    with serving("--storage", str(tmp_path)):
        told, remedy, docs = refused(tmp_path)
    assert told.endswith("another registry is serving from that directory")
    assert docs == "Docs: python -m pytest_registry explain served-already"


def test_a_password_without_a_user_name_is_not_left_out() -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTEST_REGISTRY_PASSWORD": PASSWORD},
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == ("pytest_registry serve: $PYTEST_REGISTRY_PASSWORD needs --username\n")


def test_an_upload_that_is_open_is_gone_after_a_hangup(tmp_path: Path) -> None:
    with serving("--storage", str(tmp_path / "storage")) as (process, line):
        connection = http.client.HTTPConnection(line.partition("http://")[2].split()[0], timeout=30)
        connection.request("POST", "/v2/a/blobs/uploads/")
        response = connection.getresponse()
        response.read()
        connection.request("PATCH", response.headers["Location"], b"content")
        assert connection.getresponse().status == 202
        connection.close()
        assert len(list((tmp_path / "storage" / "uploads").iterdir())) == 1
        process.send_signal(signal.SIGHUP)
        assert process.wait(10) == 0
    assert list((tmp_path / "storage" / "uploads").iterdir()) == []


def test_a_server_imports_nothing_heavy() -> None:
    heavy = [
        "pytest", "docker", "requests", "urllib3", "filelock", "testcontainers", "bcrypt",
        "email", "http.client", "http.server", "socketserver", "asyncio", "ssl", "uuid", "logging",
        "pathlib",
    ]  # fmt: skip
    script = (
        "import sys; import pytest_registry.server, pytest_registry.server.serve;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
