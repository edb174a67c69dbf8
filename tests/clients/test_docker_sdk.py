"""docker-py, connected and made to raise: on a fake stream, and on a real engine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_registry.clients import docker_sdk
from pytest_registry.errors import (
    AuthenticationFailed,
    EngineUnavailable,
    ImageNotFound,
    PullError,
    PushError,
    RateLimited,
    RegistryError,
)
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import RegistryServer, ServerSettings
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response

if TYPE_CHECKING:
    import docker

ACCOUNT = Credentials("me", "a-secret-word")


def engine_that_says(*lines: dict[str, Any]) -> docker.DockerClient:
    """A client whose pushes and pulls give these lines and raise nothing, as docker-py's do."""
    api = SimpleNamespace(push=lambda *_, **__: iter(lines), pull=lambda *_, **__: iter(lines))
    return cast("docker.DockerClient", SimpleNamespace(api=api))


@pytest.mark.parametrize(
    ("said", "pushing", "pulling"),
    [
        ("denied: requested access to the resource is denied", AuthenticationFailed, None),
        ("unauthorized: authentication required", AuthenticationFailed, None),
        ("no basic auth credentials", AuthenticationFailed, None),
        ("toomanyrequests: You have reached your pull rate limit.", RateLimited, None),
        ("received unexpected HTTP status: 429 Too Many Requests", RateLimited, None),
        ("manifest for a/b:1 not found: manifest unknown", ImageNotFound, None),
        ("An image does not exist locally with the tag: a/b", ImageNotFound, None),
        ("received unexpected HTTP status: 500 Internal Server Error", PushError, PullError),
        ("dial tcp 127.0.0.1:1: connect: connection refused", PushError, PullError),
    ],
)
def test_what_an_engine_reports_in_its_stream_is_raised(
    said: str, pushing: type[RegistryError], pulling: type[RegistryError] | None
) -> None:
    engine = engine_that_says({"status": "Preparing"}, {"errorDetail": {"message": said}})
    for transfer, kind in ((docker_sdk.push, pushing), (docker_sdk.pull, pulling or pushing)):
        with pytest.raises(kind) as caught:
            transfer(engine, "127.0.0.1:5000/a/b:1", ACCOUNT)
        assert type(caught.value) is kind
        assert caught.value.asked == f"{transfer.__name__} 127.0.0.1:5000/a/b:1"
        assert caught.value.happened == said
        assert caught.value.remedy
        assert ACCOUNT.password not in str(caught.value)


def test_docker_hub_tells_of_a_missing_image_that_it_may_need_a_login() -> None:
    said = "pull access denied for x, repository does not exist or may require 'docker login'"
    with pytest.raises(ImageNotFound):
        docker_sdk.pull(engine_that_says({"error": said}), "x", None)


def test_a_stream_without_an_error_is_returned() -> None:
    engine = engine_that_says({"status": "Pushed", "id": "1"}, {"progressDetail": {}})
    assert docker_sdk.push(engine, "a/b:1", None)[0]["status"] == "Pushed"


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "unix:///no/such/socket", "unix:///dev/null", "nonsense://x"]
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_engine_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(EngineUnavailable) as caught:
        docker_sdk.connect()
    assert caught.value.asked == "reach a container engine"
    assert caught.value.happened
    assert "DOCKER_HOST" in caught.value.remedy
    assert "--registry-engine=embedded" in caught.value.remedy


@contextlib.contextmanager
def silent_listener() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def test_an_engine_that_accepts_but_never_answers_is_no_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_sdk, "FIRST_TIMEOUT", 0.2)
    with silent_listener() as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        with pytest.raises(EngineUnavailable, match="timed out"):
            docker_sdk.connect()


# On a real engine -------------------------------------------------------------------------------


def answering(
    status: int, code: str, only: Callable[[Request], bool]
) -> Callable[[Request, Callable[[Request], Response]], Response]:
    """An interceptor that refuses some requests."""
    body = f'{{"errors": [{{"code": "{code}", "message": "we say no"}}]}}'.encode()

    def intercept(request: Request, proceed: Callable[[Request], Response]) -> Response:
        if only(request):
            return Response(status, {"Content-Type": "application/json"}, body)
        return proceed(request)

    return intercept


@pytest.fixture
def tagged(engine: docker.DockerClient, ci_nginx_image: str) -> Iterator[Callable[[str], str]]:
    """Tags the sample image for a registry, and takes the tags away again."""
    made: list[str] = []

    def tag(host: str) -> str:
        made.append(f"{host}/refused/nginx:1")
        docker_sdk.tag(engine, ci_nginx_image, made[-1])
        return made[-1]

    yield tag
    for reference in made:
        engine.images.remove(reference)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "MANIFEST_INVALID", PushError),
        (403, "DENIED", AuthenticationFailed),
        (429, "TOOMANYREQUESTS", RateLimited),
    ],
)
def test_a_push_that_the_registry_refuses_is_raised(
    engine: docker.DockerClient,
    tagged: Callable[[str], str],
    status: int,
    code: str,
    kind: type[RegistryError],
) -> None:
    # Not a blob: the engine sends one that was refused five times, for 50 s.
    intercept = answering(
        status, code, lambda request: request.method == "PUT" and "/manifests/" in request.path
    )
    with RegistryServer(ServerSettings(interceptor=intercept)) as server:
        reference = tagged(server.host)
        with pytest.raises(kind) as caught:
            docker_sdk.push(engine, reference, ACCOUNT)
    assert caught.value.asked == f"push {reference}"


def test_a_pull_of_a_missing_tag_and_a_tag_of_a_missing_image_are_raised(
    engine: docker.DockerClient,
) -> None:
    with RegistryServer(ServerSettings()) as server, pytest.raises(ImageNotFound) as caught:
        docker_sdk.pull(engine, f"{server.host}/no/such:tag", None)
    assert caught.value.asked == f"pull {server.host}/no/such:tag"
    assert "check the name and tag" in caught.value.remedy
    with pytest.raises(ImageNotFound, match="tag no-such-image as"):
        docker_sdk.tag(engine, "no-such-image", "127.0.0.1:1/a:1")


def test_an_error_shows_no_frame_of_docker_py_whose_locals_are_logins(
    engine: docker.DockerClient,
) -> None:
    with pytest.raises(RegistryError) as caught:
        docker_sdk.pull(engine, "127.0.0.1:1/no/such:tag", ACCOUNT)
    cause = caught.value.__cause__
    assert cause is not None
    while cause is not None:
        assert cause.__traceback__ is None
        cause = cause.__cause__


@pytest.mark.parametrize("name", ["no-such-image", "Not A Name", "a:b:c", "sha256:12"])
def test_an_engine_does_not_have_what_is_no_image(engine: docker.DockerClient, name: str) -> None:
    assert not docker_sdk.has_image(engine, name)


def test_an_engine_has_an_image_by_name_and_by_id(
    engine: docker.DockerClient, ci_nginx_image: str
) -> None:
    identifier = engine.images.get(ci_nginx_image).id
    assert docker_sdk.has_image(engine, ci_nginx_image)
    assert docker_sdk.has_image(engine, identifier)
    assert docker_sdk.describe(engine).split()[0] in ("Docker", "Podman")
