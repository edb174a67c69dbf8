"""DOCKER_HOST=ssh://: an engine on another machine, by a real sshd with keys of the test's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.errors import EngineUnavailable
from tests.conftest import PYTEST
from tests.remote.ssh_server import ALIAS, PORT, SshServer, ssh_server, why_not
from tests.remote.test_remote_engines import COMMAND, IMAGES, SUITE

if TYPE_CHECKING:
    from tests.remote.conftest import RemoteEngine

pytestmark = pytest.mark.container_engine


@pytest.fixture(scope="module")
def sshd(remote: RemoteEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    if reason := why_not():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {reason}")
        pytest.skip(reason)
    with ssh_server(remote, tmp_path_factory.mktemp("sshd")) as serving:
        yield serving


@pytest.fixture
def behind_ssh(sshd: SshServer, monkeypatch: pytest.MonkeyPatch) -> SshServer:
    """The ssh command is the test's own, and DOCKER_HOST goes through it."""
    monkeypatch.setenv("PATH", sshd.path)
    monkeypatch.setenv("DOCKER_HOST", f"ssh://root@{sshd.address}:{PORT}")
    return sshd


@pytest.mark.parametrize(
    ("place", "options"),
    [("root@{address}:2222", ()), (ALIAS, ("--registry-tls=on", "-n", "2"))],
    ids=["address", "alias-and-tls"],
)
def test_a_suite_runs_on_an_engine_behind_ssh(
    remote: RemoteEngine,
    behind_ssh: SshServer,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    *,
    place: str,
    options: tuple[str, ...],
) -> None:
    before = remote.state()
    monkeypatch.setenv("DOCKER_HOST", f"ssh://{place.format(address=behind_ssh.address)}")
    pytester.makepyfile(SUITE + COMMAND)
    result = pytester.runpytest_subprocess(*IMAGES, "-rP", "-p", "no:cacheprovider", *options)
    result.assert_outcomes(passed=3)
    result.stdout.re_match_lines([rf"addresses {remote.address}:(\d+) 127.0.0.1:\1"])
    result.stdout.fnmatch_lines([f"*published on every address of {remote.address}*"])
    assert remote.state() == before


def until(happened: Callable[[], bool], said: str) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


def test_a_killed_run_leaves_nothing_on_the_engine_behind_ssh(
    remote: RemoteEngine, behind_ssh: SshServer, tmp_path: Path
) -> None:
    before = remote.state()
    suite = tmp_path / "test_killed.py"
    suite.write_text(
        "import os, pathlib, time\ndef test_it(registry):\n    registry.docker.ping()\n"
        "    pathlib.Path('pids').write_text(f'{os.getpid()}')\n    time.sleep(60)\n"
    )
    command = [*PYTEST, "-p", "no:cacheprovider", *IMAGES, str(suite)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        until((tmp_path / "pids").exists, "the test does not start")
        assert remote.state() != before
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: remote.state() == before, "the registry is still there")
    until(lambda: not ssh_commands(behind_ssh), "an ssh command is still there")


def ssh_commands(server: SshServer) -> list[int]:
    """The processes of connections to the engine's machine that go on."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_text(errors="replace")
            if "dial-stdio" in line and str(server.place) in line:
                found.append(int(path.parent.name))
    return found


def test_a_lost_connection_is_told_as_the_registrys_end_and_leaves_nothing_there(
    remote: RemoteEngine, behind_ssh: SshServer, tmp_path: Path
) -> None:
    before = remote.state()
    suite = tmp_path / "test_lost.py"
    suite.write_text(
        "import pathlib, time\ndef test_it(registry):\n    pathlib.Path('begun').touch()\n"
        "    for _ in range(300):\n        registry.exists('a/b')\n        time.sleep(0.1)\n"
    )
    command = [*PYTEST, "-p", "no:cacheprovider", *IMAGES, str(suite)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        until((tmp_path / "begun").exists, "the test does not start")
        for pid in ssh_commands(behind_ssh):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.wait()
    assert "the run's registry ended" in said
    assert "What to do: " in said
    until(lambda: remote.state() == before, "the registry is still there")


def test_a_context_may_lead_behind_ssh(
    remote: RemoteEngine, behind_ssh: SshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pytest_registry.clients.docker_sdk import connect
    from pytest_registry.clients.engine_reach import daemon_host_name

    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    make = ["docker", "context", "create", "there", "--docker", f"host=ssh://{ALIAS}"]
    subprocess.run(make, check=True, capture_output=True)
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONTEXT", "there")
    with closing(connect()) as client:
        assert client.info()["DockerRootDir"] == str(remote.place / "data")
    assert daemon_host_name() == behind_ssh.address
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with pytest.raises(EngineUnavailable, match="DOCKER_CONTEXT is nowhere"):
        connect()  # and not to this machine's engine, which was not meant


def test_a_client_keeps_its_connection_and_leaves_no_process_and_no_warning(
    behind_ssh: SshServer,
) -> None:
    from pytest_registry.clients.docker_sdk import connect

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with closing(connect()) as client:
            for _ in range(5):
                client.ping()
            assert len(ssh_commands(behind_ssh)) == 1
        assert not ssh_commands(behind_ssh)


def test_an_engines_socket_may_be_named(
    remote: RemoteEngine, behind_ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_registry.clients.docker_sdk import connect

    monkeypatch.setenv("DOCKER_HOST", f"ssh://{ALIAS}{remote.socket}")
    with closing(connect()) as client:
        assert client.info()["DockerRootDir"] == str(remote.place / "data")
    monkeypatch.setenv("DOCKER_HOST", f"ssh://{ALIAS}/no/such.sock")
    with pytest.raises(EngineUnavailable, match=r"dial unix /no/such\.sock: connect: no such file"):
        connect()


def refused_key(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    config = (server.place / "ssh_config").read_text().replace("/key\n", "/other-key\n")
    other_ssh(server, config, monkeypatch)


def unknown_host(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    config = (server.place / "ssh_config").read_text().replace("/known-hosts\n", "/none\n")
    other_ssh(server, config, monkeypatch)


def other_ssh(server: SshServer, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = server.place / "other"
    place.mkdir(exist_ok=True)
    (place / "ssh_config").write_text(config)
    command = (server.bin / "ssh").read_text().replace("/ssh_config", "/other/ssh_config")
    (place / "ssh").write_text(command)
    (place / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")


def nobody_listens(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"ssh://{server.address}:1")


def no_ssh(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(server.place / "empty"))


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (refused_key, "Permission denied (publickey)"),
        (unknown_host, "Host key verification failed"),
        (nobody_listens, "port 1: Connection refused"),
        (no_ssh, "there is no ssh command here"),
    ],
)
def test_an_ssh_that_fails_is_told_in_its_own_words_with_what_to_do(
    behind_ssh: SshServer,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    *,
    break_it: Callable[[SshServer, pytest.MonkeyPatch], None],
    said: str,
) -> None:
    break_it(behind_ssh, monkeypatch)
    pytester.makepyfile("def test_it(registry): pass")
    result = pytester.runpytest_subprocess(*IMAGES, "-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    told = result.stdout.str()
    assert f"could not reach a container engine behind ssh on {behind_ssh.address}: " in told
    assert said in told
    assert "What to do: " in told
    assert not ssh_commands(behind_ssh)


def test_what_the_docker_command_there_says_is_told(
    behind_ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_registry.clients.docker_sdk import connect

    monkeypatch.setenv("DOCKER_HOST", f"ssh://{ALIAS}")
    real = shutil.which("ssh", path=os.environ["PATH"])
    place = behind_ssh.place / "no-docker"
    place.mkdir()
    (place / "ssh").write_text(
        f"""#!/bin/sh\nfor last; do :; done\n[ "$1" = -G ] && exec {real} "$@"\n"""
        f"""exec {real} {ALIAS} "PATH=/none; $last"\n"""
    )
    (place / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    with pytest.raises(EngineUnavailable, match=r"docker: .*not found"):
        connect()


def test_a_client_that_was_closed_may_be_used_again(
    remote: RemoteEngine, behind_ssh: SshServer
) -> None:
    from pytest_registry.clients.docker_sdk import connect

    with closing(connect()) as client:
        client.close()
        until(lambda: not ssh_commands(behind_ssh), "the closed connection goes on")
        assert client.info()["DockerRootDir"] == str(remote.place / "data")


def test_a_forked_child_has_connections_of_its_own(behind_ssh: SshServer) -> None:
    from pytest_registry.clients.docker_sdk import TIMEOUT, LoggedInClient, _connect
    from pytest_registry.clients.forks import begin_anew_in_children

    with closing(_connect(LoggedInClient, TIMEOUT)) as client:
        begin_anew_in_children(client)
        client.ping()
        parents = set(ssh_commands(behind_ssh))
        child = os.fork()
        if not child:
            code = 2
            try:
                signal.alarm(60)
                client.ping()
                code = 0 if parents < set(ssh_commands(behind_ssh)) else 1
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.ping()
        assert parents <= set(ssh_commands(behind_ssh))
