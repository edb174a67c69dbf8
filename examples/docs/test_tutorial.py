"""The tutorial's snippets."""

import os
import subprocess
import sys

from pytest_registry import synthetic_image


def test_a_registry_answers(registry):
    registry.client.ping()
    assert registry.url.startswith("http://127.0.0.1:")
    assert registry.credentials.username


def test_an_image_is_pushed(registry, registry_push):
    image = registry_push(synthetic_image(layers=2))
    assert registry.exists(image.repository, image.tag)
    assert registry.image(image.repository).digest == image.digest


def test_a_command_is_logged_in(registry, registry_env):
    tool = [sys.executable, "-c", "import os; print(os.environ['DOCKER_CONFIG'])"]
    said = subprocess.check_output(tool, env=registry_env, text=True)
    assert said.strip() == str(registry.client_config)
    assert os.environ.get("DOCKER_CONFIG") != str(registry.client_config)
