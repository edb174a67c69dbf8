"""Snippets of "Start without Docker", and of the pages on engines."""

import os
import subprocess
import sys

import pytest

from pytest_registry import synthetic_image


def test_the_same_suite(registry, registry_push):
    image = registry_push(synthetic_image())
    assert registry.pull(image).digest == image.digest


@pytest.fixture
def needs_an_engine(registry):
    if not registry.has_container_engine:
        pytest.skip("no Docker or Podman engine answers")


@pytest.mark.usefixtures("needs_an_engine")
def test_only_where_docker_is(registry_docker_client):
    assert registry_docker_client.ping()


def test_what_serves_the_registry(registry):
    assert registry.engine in {"container", "embedded", "external"}
    assert registry.endpoint.detail  # as the summary tells it
    assert registry.endpoint.reason


def test_a_name_for_each_side(registry):
    for_this_process = registry.reference("samples/nginx")
    for_the_daemon = registry.daemon_reference("samples/nginx")
    assert for_this_process.endswith("/samples/nginx:latest")
    assert for_the_daemon.endswith("/samples/nginx:latest")


def test_a_command_is_logged_in(registry, registry_env):
    tool = [sys.executable, "-c", "import os; print(os.environ['DOCKER_CONFIG'])"]
    said = subprocess.check_output(tool, env=registry_env, text=True)
    assert said.strip() == str(registry.client_config)
    assert os.environ.get("DOCKER_CONFIG") != str(registry.client_config)
