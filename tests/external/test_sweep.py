"""`python -m pytest_registry sweep`: leftovers of dead runs, by prefix and age."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pytest_registry.__main__ import main
from pytest_registry.engines.external import PASSWORD, USERNAME
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.server import (
    ApiError,
    Code,
    RegistryServer,
    Request,
    Response,
    ServerSettings,
)
from pytest_registry.server.settings import Proceed
from tests.external.conftest import ACCOUNT, Served

if TYPE_CHECKING:
    from tests.external.conftest import Serve

HOUR = 3600


def leave(served: Served, hours: float, prefix: str = "") -> str:
    """Push what a run that began so long ago left."""
    name = f"{prefix}pytest-12-0123456789ab-{int(time.time() - hours * HOUR)}/samples/nginx"
    with served.client() as client:
        client.push(synthetic_image(1, platforms=["linux/amd64", "linux/arm64"]), name, "latest")
    return name


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USERNAME, "someone")
    monkeypatch.setenv(PASSWORD, "a-password-that-no-message-holds")


def test_old_leftovers_are_listed_and_only_deleted_when_asked(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve()
    old, young = leave(served, 3), leave(served, 1)
    before = served.tagged()
    assert main(["sweep", "--url", served.url, "--older-than", "2h"]) == 0
    said = capsys.readouterr().out
    assert (f"{old} (its run began 3.0 h ago)" in said, young in said) == (True, False)
    assert "give --delete" in said
    assert served.tagged() == before
    assert main(["sweep", "--url", served.url, "--older-than", "2h", "--delete"]) == 0
    assert served.tagged() == [name for name in before if name != old]
    assert main(["sweep", "--url", served.url, "--older-than", "2h"]) == 0
    assert "nothing was left behind" in capsys.readouterr().out


def test_only_what_lies_below_the_prefix_is_swept(serve: Serve) -> None:
    served = serve()
    kept, swept = leave(served, 3), leave(served, 3, "team/")
    assert main(["sweep", "--url", f"{served.url}/team", "--older-than=2h", "--delete"]) == 0
    assert kept in served.tagged()
    assert swept not in served.tagged()


def test_without_a_catalog_it_says_how_to_go_on(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve("catalog")
    old = leave(served, 30)
    assert main(["sweep", "--url", served.url]) == 1
    assert "give the repositories' names after the options" in capsys.readouterr().err
    assert main(["sweep", "--url", served.url, "--delete", old]) == 0
    with served.client() as client:
        assert not client.exists(old, "latest")


@pytest.mark.parametrize(
    ("variables", "url", "said"),
    [
        ({PASSWORD: "wrong"}, "", "check the user name and password"),
        ({USERNAME: "", PASSWORD: "", "DOCKER_CONFIG": "/none"}, "", "nobody is logged in"),
        ({}, "http://127.0.0.1:1", "check that the registry runs and listens"),
    ],
)
def test_a_failure_that_is_not_the_catalogs_keeps_its_own_remedy(
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    url: str,
    said: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        assert main(["sweep", "--url", url or serve().url]) == 1
    told = capsys.readouterr().err
    assert (said in told, "names after the options" in told) == (True, False)


def test_a_repository_that_this_account_may_not_read_is_left_out_and_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = ""

    def refuse(request: Request, proceed: Proceed) -> Response:
        if refused and request.repository == refused:
            raise ApiError(Code.DENIED)
        return proceed(request)

    with RegistryServer(ServerSettings(credentials=ACCOUNT, interceptor=refuse)) as server:
        served = Served(server.url, ACCOUNT)
        forbidden, old = leave(served, 40), leave(served, 30)
        refused = forbidden
        assert main(["sweep", "--url", served.url, "--delete"]) == 0
        told = capsys.readouterr()
        refused = ""
        assert served.tagged() == [forbidden]
    assert f"left out {server.host}/{forbidden}" in told.err
    assert old in told.out


def test_a_registry_that_does_not_delete_gives_a_status(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve("DELETE")
    old = leave(served, 30)
    assert main(["sweep", "--url", served.url, "--delete"]) == 1
    said = capsys.readouterr().out
    assert "the registry did not delete:" in said
    assert f"{old}:latest" in said


@pytest.mark.parametrize("age", ["soon", "2", "-1h", "1w"])
def test_an_age_without_a_unit_is_refused(age: str) -> None:
    with pytest.raises(SystemExit):
        main(["sweep", "--url", "https://host.example", f"--older-than={age}"])


def test_debians_registry_is_swept(debian: Served) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(USERNAME)
        patch.delenv(PASSWORD)
        old = leave(debian, 30)
        assert main(["sweep", "--url", debian.url, "--delete"]) == 0
        assert old not in debian.tagged()
