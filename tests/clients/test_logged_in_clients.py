"""Clients that are given to tests: the docker command, an HTTP session, and their environment."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pytest_registry import Credentials, Registry, synthetic_image
from pytest_registry.clients.cli import DockerCommand
from pytest_registry.errors import (
    AuthenticationFailed,
    EngineUnavailable,
    ImageNotFound,
    ProtocolError,
    RegistryError,
    Unsupported,
)
from pytest_registry.images.image import Image
from pytest_registry.limits.policy import Operation, Unlimited
from pytest_registry.oci.names import digest_of

Factory = Callable[..., Registry]


@pytest.fixture(scope="module", params=["none", "basic", "bearer"])
def registry_by(request: pytest.FixtureRequest, registry_factory: Factory) -> Registry:
    """An embedded registry with TLS and each kind of login."""
    return registry_factory(engine="embedded", auth=request.param, tls="on", storage="memory")


# A plain HTTP session


def test_the_session_is_logged_in_and_trusts_the_registry(registry_by: Registry) -> None:
    registry_by.client.push(synthetic_image(), "a", "1")
    answer = registry_by.http.get("/v2/a/tags/list")
    assert answer.json() == {"name": "a", "tags": ["1"]}
    assert registry_by.http.get("/v2/_catalog").json() == {"repositories": ["a"]}
    assert registry_by.http.post("/v2/a/blobs/uploads/", data=b"").status_code == 202
    assert registry_by.http.get(f"{registry_by.url}/v2/b/tags/list").status_code == 404


def test_a_token_server_that_fails_is_not_taken_for_a_wrong_login(registry_by: Registry) -> None:
    if registry_by.endpoint.auth != "bearer":
        return
    with registry_by.faults("token", status=503), pytest.raises(ProtocolError, match="503"):
        registry_by.http.token("repository:a:pull")


def test_a_file_is_sent_whole_after_the_login(registry_by: Registry) -> None:
    login = registry_by.logged_in(registry_by.credentials).http
    place = registry_by.http.post("/v2/files/blobs/uploads/").headers["Location"]
    content = b"not from its beginning"
    file = io.BytesIO(content)
    file.seek(4)
    answer = login.put(f"{place}?digest={digest_of(content[4:])}", data=file)
    assert answer.status_code == 201
    assert registry_by.blob("files", digest_of(content[4:])) == content[4:]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_whatever_can_be_read_twice_is_sent_after_the_login(
    registry_by: Registry, kind: Callable[[bytes], Any]
) -> None:
    login = registry_by.logged_in(registry_by.credentials).http
    place = registry_by.http.post("/v2/files/blobs/uploads/").headers["Location"]
    answer = login.patch(place, data=kind(b"content"))
    assert (answer.status_code, answer.headers["Range"]) == (202, "0-6")


def test_a_body_that_can_be_read_only_once_says_so(registry_by: Registry) -> None:
    if registry_by.endpoint.auth == "none":
        return
    login = registry_by.logged_in(registry_by.credentials).http
    place = registry_by.http.post("/v2/files/blobs/uploads/").headers["Location"]
    with pytest.raises(Unsupported, match=r"only once(.|\n)*can seek"):
        login.patch(place, data=iter([b"one", b"two"]))


def test_further_logins_keep_nothing_open_between_tests(registry_by: Registry) -> None:
    reader = registry_by.logged_in(registry_by.credentials)
    assert reader.http.get("/v2/").ok
    assert reader.client.repositories() == registry_by.client.repositories()
    kept = reader.client._session._transport
    assert kept._pools
    registry_by.rest()
    assert not kept._pools
    assert reader.client.repositories() == registry_by.client.repositories()


def test_the_session_gets_the_refusal_of_a_wrong_login(registry_by: Registry) -> None:
    wrong = registry_by.logged_in(Credentials("pytest", "wrong"))
    expected = 200 if registry_by.endpoint.auth == "none" else 401
    assert wrong.http.get("/v2/").status_code == expected


def test_a_token_is_given_where_one_logs_in_by_tokens(registry_by: Registry) -> None:
    if registry_by.endpoint.auth != "bearer":
        with pytest.raises(Unsupported, match="registry-auth=bearer"):
            registry_by.http.token()
        return
    assert registry_by.http.token("repository:a:pull").count(".") == 2
    wrong = registry_by.logged_in(Credentials("pytest", "wrong"))
    with pytest.raises(AuthenticationFailed):
        wrong.http.token()


# Commands


def test_the_environment_names_what_each_client_reads(registry_by: Registry) -> None:
    environment = registry_by.environment()
    login = Path(environment["REGISTRY_AUTH_FILE"])
    assert login == Path(environment["DOCKER_CONFIG"]) / "config.json"
    assert environment["HELM_REGISTRY_CONFIG"] == str(login)
    authorities = Path(environment["SSL_CERT_FILE"]).read_text()
    assert registry_by.ca_file is not None
    assert registry_by.ca_file.read_text() in authorities
    assert environment["REQUESTS_CA_BUNDLE"] == environment["SSL_CERT_FILE"]


def test_a_program_that_knows_nothing_of_us_trusts_the_registry(registry_by: Registry) -> None:
    program = f"import urllib.request; urllib.request.urlopen('{registry_by.url}/oauth2/token')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=registry_by.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or "urllib.error.HTTPError" in done.stderr


def test_everything_secret_is_for_the_user_s_eyes_only(registry_by: Registry) -> None:
    run = registry_by.client_config.parent
    registry_by.logged_in(Credentials("me", "secret"))
    secret = [run / "accounts.json", *run.glob("docker-config*/**/*"), *run.glob("certificates/*")]
    assert len(secret) > 5
    open_to_others = [path for path in secret if path.is_file() and path.stat().st_mode & 0o077]
    assert open_to_others == []


@pytest.mark.container_engine
def test_the_docker_command_pushes_pulls_and_keeps_what_it_said(
    registry_factory: Factory, ci_nginx_image: str
) -> None:
    registry = registry_factory(engine="embedded", storage="memory")
    docker, reference = registry.docker_command, registry.reference("samples/nginx")
    docker.run("tag", ci_nginx_image, reference)
    try:
        assert "digest: sha256:" in docker.push(reference).stdout
        docker.run("rmi", reference)
        docker.pull(registry.image("samples/nginx"))
    finally:
        docker.run("rmi", reference)
    assert [output.command[1] for output in docker.outputs] == ["tag", "push", "rmi", "pull", "rmi"]


@pytest.mark.container_engine
def test_the_docker_command_raises_what_it_failed_with(registry_factory: Factory) -> None:
    registry = registry_factory(engine="embedded", storage="memory")
    with pytest.raises(ImageNotFound):
        registry.docker_command.pull(registry.reference("nothing"))
    with pytest.raises(ImageNotFound, match="could not run docker push"):
        registry.docker_command.push(registry.reference("nothing"))
    wrong = registry.logged_in(Credentials("pytest", "wrong"))
    with pytest.raises(AuthenticationFailed):
        wrong.docker_command.pull(registry.reference("nothing"))
    with pytest.raises(RegistryError, match="explain transfer-failed"):
        registry.docker_command.run("no-such-command")
    assert registry.docker_command.outputs[-1].stderr


@pytest.mark.parametrize(
    ("daemon_host", "told", "slots"),
    [
        ("127.0.0.1:5000", "127.0.0.1:5000/ci/app:1", ["push ci/app", "pull ci/app"]),
        ("", "engine.test:5000/ci/app:1", []),
    ],
    ids=["an engine on another machine", "one that does not reach the registry"],
)
def test_an_image_is_named_to_a_command_as_the_engines_daemon_reaches_it(
    daemon_host: str, told: str, slots: list[str]
) -> None:
    taken = Slots()
    echo = DockerCommand(daemon_host, taken, dict, ["echo"], here="engine.test:5000")
    image = Image("engine.test:5000/ci/app:1", "app", "1", "sha256:0", 1)
    elsewhere = dataclasses.replace(image, reference="registry.test/app:1")
    assert echo.push(image).stdout == f"push {told}\n"
    assert echo.pull(image, "--quiet").stdout == f"pull --quiet {told}\n"
    assert echo.pull(elsewhere).stdout == "pull registry.test/app:1\n"
    assert taken.names == slots


class Slots:
    """Limits that note which slots were taken."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pull(
        self, repository: str = "", *, reference: str = ""
    ) -> AbstractContextManager[Operation]:
        self.names.append(f"pull {repository}")
        return Unlimited().pull(repository, reference=reference)

    def push(
        self, repository: str = "", *, reference: str = ""
    ) -> AbstractContextManager[Operation]:
        self.names.append(f"push {repository}")
        return Unlimited().push(repository, reference=reference)


def test_a_command_that_is_not_installed_is_named() -> None:
    absent = DockerCommand("127.0.0.1:1", Unlimited(), dict, ["no-such-program"])
    with pytest.raises(EngineUnavailable, match="no-such-program"):
        absent.run("version")
