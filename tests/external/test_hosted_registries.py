"""Logins as hosted registries give them out, over HTTPS, and the container engine with all that."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from pytest_registry.clients.oci import OciClient
from pytest_registry.engines.external import PASSWORD, USERNAME
from pytest_registry.security.accounts import Account, FixedAccounts
from pytest_registry.security.credentials import Credentials
from pytest_registry.security.signing import SecretSigner
from pytest_registry.server import RegistryServer, RequestRecord, ServerSettings
from pytest_registry.server.bearer import Bearer
from pytest_registry.server.routes import ROUTES
from pytest_registry.server.tokens import TokenServer
from tests.conftest import image_tags
from tests.external.conftest import OTHERS, Served, stocked

if TYPE_CHECKING:
    import docker

    from tests.external.conftest import Suite


OWNER = Credentials("an-owner", "what-the-cloud's-own-login-gave")
START_TIMEOUT = 60.0
"""Seconds: the option's default."""

ACCOUNTS = {
    "azure": OWNER,  # which is exchanged for a refresh token
    "github": Credentials("x-access-token", f"ghs_{secrets.token_hex(18)}"),
    "aws": Credentials("AWS", base64.b64encode(secrets.token_bytes(1800)).decode()),
}
SUITE = """
from pytest_registry import synthetic_image

def test_it(registry, registry_client):
    image = registry.push(synthetic_image(1), "samples/one")
    assert registry.pull(image).digest == image.digest
    assert registry.supports("delete")
    assert "samples/one" in registry.repositories()
"""


def hosted(kind: str, seen: list[RequestRecord]) -> ServerSettings:
    """AWS asks for the account itself (Basic), the others give tokens for it."""
    account = ACCOUNTS[kind]
    if kind == "aws":
        return ServerSettings(credentials=account, observer=seen.append)
    signer = SecretSigner()
    tokens = TokenServer(FixedAccounts((Account.of_everything(account),)), signer)
    return ServerSettings(
        authenticator=Bearer(signer), routes=ROUTES + tokens.routes, observer=seen.append
    )


def token_of(kind: str, server: RegistryServer) -> Credentials:
    """What a user is given as user and password."""
    if kind != "azure":
        return ACCOUNTS[kind]
    with OciClient(server.url) as client:
        token = client.exchange_azure_token(OWNER.password)
    assert token.username == "00000000-0000-0000-0000-000000000000"
    return token


@pytest.mark.parametrize("whence", ["environment", "docker-config", "credential-helper"])
@pytest.mark.parametrize("kind", list(ACCOUNTS))
def test_a_suite_logs_in_with_the_token_of_a_hosted_registry(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, whence: str
) -> None:
    seen: list[RequestRecord] = []
    with RegistryServer(hosted(kind, seen)) as server:
        account = token_of(kind, server)
        served = stocked(Served(server.url, account))
        if whence == "environment":
            result = suite(served, SUITE, "--showlocals")
        else:
            config = log_in(tmp_path, server.host, account, helper=whence == "credential-helper")
            monkeypatch.setenv("DOCKER_CONFIG", str(config))
            monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
            result = suite(replace(served, account=None), SUITE, "--showlocals")
        result.assert_outcomes(passed=1)
        said = "from PYTEST_REGISTRY_USERNAME" if whence == "environment" else "your own login"
        result.stdout.re_match_lines([rf"registry: external, as {account.username} \(.*{said}\)"])
        assert account.password not in result.stdout.str() + result.stderr.str()
        assert served.tagged() == list(OTHERS)
        assert any(record.route == "token" for record in seen) == (kind != "aws")


def log_in(place: Path, host: str, account: Credentials, *, helper: bool) -> Path:
    """A Docker config directory with a login, or with a helper (in `place`) that has it."""
    directory = place / "docker-config"
    directory.mkdir()
    config: dict[str, object]
    if helper:
        answer = json.dumps({"Username": account.username, "Secret": account.password})
        program = place / "docker-credential-hosted"
        program.write_text(f"#!/bin/sh\n[ \"$(cat)\" = '{host}' ] && echo '{answer}'\n")
        program.chmod(0o755)
        config = {"credHelpers": {host: "hosted"}}
    else:
        login = base64.b64encode(f"{account.username}:{account.password}".encode()).decode()
        config = {"auths": {host: {"auth": login}}}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Served]:
    """A registry over HTTPS, of an authority of its own (`ca.pem` in `tmp_path`)."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    pem = tmp_path / "server.pem"
    settings = ServerSettings(certificate=pem, key=pem, credentials=ACCOUNTS["github"])
    with RegistryServer(settings) as server:
        yield Served(server.url, ACCOUNTS["github"])


def test_an_authority_of_ones_own_is_trusted_by_the_environment(
    suite: Suite, secure: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = suite(secure, SUITE)  # and does not wait until the start's time limit
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*could not *{secure.url.partition('://')[2]}*certificate*"])
    result.stdout.fnmatch_lines(["*SSL_CERT_FILE*", "*Docs: * explain no-registry"])
    assert result.duration < START_TIMEOUT
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    result = suite(secure, SUITE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"registry: external, * at {secure.url}*"])


@pytest.mark.parametrize(
    ("scheme", "said"),
    [("https", "the port does not speak TLS"), ("http", "what answers there is not a registry")],
)
def test_what_waiting_does_not_mend_is_told_at_once(suite: Suite, scheme: str, said: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        result = suite(Served(f"{scheme}://127.0.0.1:{server.server_port}", None), SUITE)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{said}*", "*Docs: * explain no-registry"])
    assert result.duration < START_TIMEOUT


class Elsewhere(BaseHTTPRequestHandler):
    """A web server that is no registry."""

    def do_GET(self) -> None:
        self.send_error(404)


BY_AN_ENGINE = """
import urllib.request

def test_it(registry, registry_nginx_image, registry_nginx_container, registry_docker_client):
    print("place", registry.daemon_reference("samples/nginx"))
    assert registry.pull(registry_nginx_image, fresh=True).digest == registry_nginx_image.digest
    with urllib.request.urlopen(registry_nginx_container.url) as page:
        assert b"Welcome to nginx!" in page.read()
    image = registry_docker_client.images.get(registry.daemon_reference("samples/nginx"))
    repository, _, _ = registry.daemon_reference("by/docker-py").rpartition(":")
    image.tag(repository, "2")
    registry_docker_client.images.push(repository, tag="2")
    assert registry.tags("by/docker-py") == ["2"]
"""


@pytest.mark.container_engine
def test_the_container_engine_pushes_and_pulls_below_the_runs_prefix_too(
    engine: docker.DockerClient,
    ci_nginx_image: str,
    suite: Suite,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    account = ACCOUNTS["github"]
    with RegistryServer(hosted("github", [])) as server:
        served = stocked(Served(server.url, account))
        sample = f"--registry-sample-image={ci_nginx_image}"
        result = suite(served, BY_AN_ENGINE, sample, "-rP", below="/team")
        result.assert_outcomes(passed=1)
        assert re.search(
            rf"^place {server.host}/team/pytest-\S+/samples/nginx",
            result.stdout.str(),
            re.MULTILINE,
        )
        assert served.tagged() == list(OTHERS)
        assert account.password not in result.stdout.str() + result.stderr.str()
        assert [name for name in image_tags(engine) if name.startswith(f"{server.host}/")] == []


def test_features_are_tried_out_once_for_all_workers(suite: Suite) -> None:
    seen: list[RequestRecord] = []
    body = """
    import pytest

    @pytest.mark.parametrize("number", range(6))
    def test_it(registry, number):
        assert registry.supports("referrers")
        assert registry.supports("mount")
    """
    with RegistryServer(hosted("aws", seen)) as server:
        result = suite(Served(server.url, ACCOUNTS["aws"]), body, "-n", "3")
    result.assert_outcomes(passed=6)
    assert len([record for record in seen if record.route == "referrers"]) == 1


def test_a_refused_run_without_an_account_is_told_where_to_give_one(suite: Suite) -> None:
    with RegistryServer(hosted("github", [])) as server:
        result = suite(Served(server.url, None), SUITE)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([f"*AuthenticationFailed*{server.host}*"])
        result.stdout.fnmatch_lines([f"*{USERNAME}*"])
        result.stdout.fnmatch_lines([f"*{PASSWORD}*"])


def test_a_refused_run_is_told_of_a_credential_helper_that_gave_no_login(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with RegistryServer(hosted("aws", [])) as server:
        config = log_in(tmp_path, server.host, ACCOUNTS["aws"], helper=True)
        monkeypatch.setenv("DOCKER_CONFIG", str(config))  # and its helper is not in PATH
        result = suite(Served(server.url, None), SUITE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*nobody is logged in (docker-credential-hosted, which*"])
