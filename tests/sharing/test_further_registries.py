"""Registries beside the run's own, and workers that cannot have the run's own."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

OVERRIDING = """
    import pytest

    @pytest.fixture(scope="session")
    def registry(registry_factory):
        return registry_factory(engine="embedded", auth="none")
"""
THE_RUNS_OWN_TOO = """
    @pytest.fixture(scope="session", autouse=True)
    def another_directory_uses_it(request):
        from pytest_registry.fixtures import member_of
        member_of(request.config).registry()
"""

if TYPE_CHECKING:
    from tests.sharing.conftest import Place, PytestRun


def urls(run: PytestRun, name: str) -> list[str]:
    return [url for path in run.said(f"{name}-*") for url in path.read_text().split()[::2]]


@pytest.mark.parametrize(
    ("place_name", "further"),
    [
        ("place", "storage=memory auth=bearer"),
        ("container_place", "image=pytest-registry-ci/registry:2"),
        ("container_place", "engine=embedded"),
    ],
)
def test_they_live_as_long_as_the_fixture_or_the_test_that_asked(
    place_name: str, further: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(place_name)
    run = place.start("factories", "-n2", "--dist=each", FURTHER=further)
    assert run.wait(120) == 0, run.output  # up to eleven containers, one after the other
    assert (len(urls(run, "run")), len(set(urls(run, "run")))) == (4, 1)
    assert (len(urls(run, "session")), len(set(urls(run, "session")))) == (4, 2)
    assert (len(urls(run, "test")), len(set(urls(run, "test")))) == (4, 4)
    for name in ("own", "stays"):
        assert (len(urls(run, name)), len(set(urls(run, name)))) == (2, 2)
    place.hosts |= {
        url.partition("://")[2]
        for name in ("run", "session", "test", "own", "stays")
        for url in urls(run, name)
    }
    assert not place.wait_until_empty()


def test_a_worker_on_another_machine_is_told_so_and_what_to_do(place: Place) -> None:
    run = place.start("remote", "-n2", "--dist=each")
    assert run.wait() == pytest.ExitCode.TESTS_FAILED
    assert "4 passed, 4 errors" in run.output
    for words in (
        "could not share the run's registry with this xdist worker",
        "the worker runs on elsewhere, the run was started on",
        "start one pytest per host, or give all of them one registry that already runs",
    ):
        assert words in run.output
    assert "RegistryEnded" not in run.output
    assert "the registry ended" not in run.output
    assert not place.wait_until_empty()


@pytest.mark.parametrize("conftest", [OVERRIDING, OVERRIDING + THE_RUNS_OWN_TOO], ids=["", "both"])
def test_one_that_overrides_the_runs_own_holds_what_marks_and_fixtures_push(
    conftest: str,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    leaves_nothing_behind: None,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    monkeypatch.setenv("PYTEST_REGISTRY_UPSTREAM", "127.0.0.1:1")
    pytester.makeconftest(conftest)
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import synthetic_image

        @pytest.mark.push_image(synthetic_image(seed=5), repository="samples/x")
        def test_it(registry, registry_images, registry_nginx_image, registry_push):
            pushed = [*registry_images, registry_nginx_image, registry_push()]
            for image in pushed:
                assert image.reference == registry.reference(image.repository, image.tag)
                assert registry.image(image.repository, image.tag) == image
            assert registry_nginx_image.synthetic
        """
    )
    result = pytester.runpytest_subprocess("--registry-engine=embedded", "-n2", "--dist=each")
    result.assert_outcomes(passed=2)


def test_the_settings_of_one_that_overrides_the_runs_own_hold_for_its_sample_image(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    monkeypatch.setenv("PYTEST_REGISTRY_UPSTREAM", "127.0.0.1:1")
    pytester.makeconftest(OVERRIDING.replace('auth="none"', 'sample_image="my/sample"'))
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import TransferError

        def test_it(registry_push):
            with pytest.raises(TransferError, match="my/sample"):
                registry_push()
        """
    )
    pytester.runpytest_subprocess("--registry-engine=embedded").assert_outcomes(passed=1)


FOLLOWS = """
    import pytest
    from pytest_registry import synthetic_image

    @pytest.mark.push_image(synthetic_image(seed=5), repository="samples/x")
    def test_it(registry, registry_images, registry_push, registry_env):
        assert len(set(registry.repositories())) == 1
        assert registry_images[0].reference == registry.reference("samples/x")
        assert registry_push(synthetic_image()).reference.startswith(registry.host)
        assert registry_env["DOCKER_CONFIG"] == str(registry.client_config)
"""
CLIENT = """
    @pytest.fixture(scope="session")
    def registry_client(registry):
        return registry.client
"""


def test_what_is_made_for_each_test_follows_one_that_a_directory_overrides(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    uses_the_client = "def test_client(registry, registry_client):"
    asserts = "assert registry_client is registry.client"
    for name in ("first", "overriding"):
        pytester.mkdir(name)
        test = f"{dedent(FOLLOWS)}\n{uses_the_client}\n    {asserts}"
        (pytester.path / name / f"test_{name}.py").write_text(test)
    (pytester.path / "overriding" / "conftest.py").write_text(dedent(OVERRIDING + CLIENT))
    result = pytester.runpytest_subprocess("--registry-engine=embedded", "first", "overriding")
    result.assert_outcomes(passed=4)
