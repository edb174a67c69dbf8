"""Containers for tests: testcontainers, kept from the user's settings and leaving none behind."""

from __future__ import annotations

import os
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.errors import StartError

if TYPE_CHECKING:
    import docker

LABELS = {"pytest-registry-tests": f"containers-{uuid.uuid4().hex}"}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of the user's for testcontainers, each of which would break ours."""
    from testcontainers.core.config import testcontainers_config as config

    theirs = {
        "hub_image_name_prefix": "prefix.test/",
        "_docker_auth_config": '{"auths": {"127.0.0.1:1": {"auth": "bWU6c2VjcmV0"}}}',
        "ryuk_disabled": False,
    }
    for name, value in theirs.items():
        monkeypatch.setattr(config, name, value)
    return theirs


def ours(engine: docker.DockerClient) -> list[Any]:
    wanted = {"label": [f"{key}={value}" for key, value in LABELS.items()]}
    return list(engine.containers.list(all=True, filters=wanted))


def test_a_container_answers_where_it_says_and_leaves_settings_and_environment_as_they_were(
    engine: docker.DockerClient, ci_nginx_image: str, settings: dict[str, Any]
) -> None:
    from testcontainers.core.config import testcontainers_config

    from pytest_registry.clients.containers import WebContainer

    before = dict(os.environ)
    container = WebContainer(ci_nginx_image, port=80, labels=LABELS).start()
    try:
        with urllib.request.urlopen(container.url) as page:
            assert page.status == 200
        assert container.url.startswith("http://127.0.0.1:")
        assert len(ours(engine)) == 1
    finally:
        container.stop()
    assert ours(engine) == []
    assert dict(os.environ) == before
    assert {name: getattr(testcontainers_config, name) for name in settings} == settings


def test_two_threads_that_start_containers_leave_settings_and_environment_as_they_were(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from testcontainers.core.config import testcontainers_config

    from pytest_registry.clients.containers import _environment_kept, _settings

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    inside, first_is_over = threading.Event(), threading.Event()

    def second() -> None:
        with _environment_kept(), _settings(ryuk_disabled=True):
            inside.set()
            first_is_over.wait(20)

    thread = threading.Thread(target=second)
    with _environment_kept(), _settings(ryuk_disabled=True):
        os.environ["DOCKER_HOST"] = "tcp://127.0.0.1:1"
        thread.start()
        inside.wait(0.2)
    first_is_over.set()
    thread.join()
    assert testcontainers_config.ryuk_disabled is settings["ryuk_disabled"]
    assert "DOCKER_HOST" not in os.environ


@pytest.mark.parametrize(
    ("port", "path", "happened"),
    [
        (80, "/no/such/page", r"http://127\.0\.0\.1:\d+/no/such/page answered 404, after 3 s"),
        (81, "/", r"http://127\.0\.0\.1:\d+/ does not answer \(\w+\), after 3 s"),
    ],
)
def test_a_container_that_does_not_answer_as_asked_is_removed(
    engine: docker.DockerClient, ci_nginx_image: str, port: int, path: str, happened: str
) -> None:
    from pytest_registry.clients.containers import WebContainer

    container = WebContainer(ci_nginx_image, port=port, labels=LABELS, path=path, timeout=3)
    with pytest.raises(StartError, match=happened) as caught:
        container.start()
    assert f"could not run a container of {ci_nginx_image}: " in str(caught.value)
    assert ours(engine) == []


@pytest.fixture
def empty_image(engine: docker.DockerClient) -> Iterator[str]:
    """An image with nothing in it, as a synthetic one is to an engine."""
    name = "pytest-registry-tests/empty:1"
    engine.api.import_image_from_data(bytes(10240), *name.split(":"))
    yield name
    engine.api.remove_image(name)


def test_an_image_with_nothing_to_run_is_told_in_the_engines_words_and_what_to_do(
    engine: docker.DockerClient, empty_image: str
) -> None:
    from pytest_registry.clients.containers import WebContainer

    with pytest.raises(StartError, match=r"(?i)no command.* specified") as caught:
        WebContainer(empty_image, port=80, labels=LABELS).start()
    assert f"could not run a container of {empty_image}: " in str(caught.value)
    assert "something to run" in caught.value.remedy
    assert ours(engine) == []


def test_a_container_that_ends_is_not_waited_for_and_its_last_words_are_told(
    engine: docker.DockerClient, ci_nginx_image: str
) -> None:
    from pytest_registry.clients.containers import WebContainer

    container = WebContainer(ci_nginx_image, port=80, labels=LABELS, timeout=3600)
    container.with_command(["nginx", "-c", "/no/such/file"])
    with pytest.raises(StartError, match=r"it ended with exit status 1; .*no/such"):
        container.start()
    assert ours(engine) == []
