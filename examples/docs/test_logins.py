"""Logins, TLS and accounts: docs/howto/use-any-client.md shows these."""

import os
import subprocess

import pytest

from pytest_registry import AuthenticationFailed, Credentials, synthetic_image

pytest.importorskip("trustme", reason="TLS needs pytest-registry[tls]")


def test_a_tool_with_tokens_and_tls(registry_factory):
    registry = registry_factory(auth="bearer", tls="on")
    environment = registry.environment()
    subprocess.run(["ls", environment["SSL_CERT_FILE"]], env=environment, check=True)


def test_a_reader_cannot_push(registry_factory):
    registry = registry_factory(auth="bearer", tls="on")
    reader = registry.account("reader", pull="team/*")
    with pytest.raises(AuthenticationFailed):
        reader.push(synthetic_image(), "team/app")


def test_a_wrong_password(registry):
    wrong = registry.logged_in(Credentials(registry.credentials.username, "wrong"))
    with pytest.raises(AuthenticationFailed):
        wrong.client.tags("team/app")


def test_a_tool_that_is_given_a_token(registry_factory):
    registry = registry_factory(auth="bearer")
    environment = {**os.environ, "TOKEN": registry.http.token("repository:a/b:pull,push")}
    subprocess.run(["printenv", "TOKEN"], env=environment, check=True)


def test_the_registry_holds_what_was_pushed(registry, registry_namespace):
    registry.push(synthetic_image(), f"{registry_namespace}/app", "1.0")
    registry.assert_exists(f"{registry_namespace}/app", "1.0")
    registry.assert_tags(f"{registry_namespace}/app", "1.0")
