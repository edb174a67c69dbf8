"""The seven steps as users' suites take them, and what is left of each run: nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import docker

SUITES = Path(__file__).with_name("suites")
OWN_TAG = ("pytest-registry-mine/nginx", "7")

Run = Callable[..., pytest.RunResult]

pytestmark = pytest.mark.container_engine


@pytest.fixture
def own_tag(engine: docker.DockerClient, ci_nginx_image: str) -> Iterator[None]:
    """A tag of the user's that stands in the engine before the run."""
    engine.api.tag(ci_nginx_image, *OWN_TAG)
    yield
    engine.images.remove(":".join(OWN_TAG))


@pytest.fixture
def run(
    pytester: pytest.Pytester,
    own_tag: None,
    leaves_nothing_behind: None,
    ci_registry_image: str,
    ci_nginx_image: str,
) -> Run:
    """Runs a suite on our images; the engine must then be as it was."""

    def start(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(
            "--registry-engine=container",
            f"--registry-image={ci_registry_image}",
            f"--registry-sample-image={ci_nginx_image}",
            *arguments,
        )

    return start


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
def test_the_seven_steps_work_and_leave_the_engine_as_it_was(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_steps=(SUITES / "first_push.py").read_text())
    result = run(*workers)
    result.assert_outcomes(passed=10)


def test_the_users_docker_config_is_neither_needed_nor_changed(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A missing credential helper, and logins for every name that the registry could have."""
    hostile = {
        "credsStore": "missing",
        "credHelpers": {"127.0.0.1": "missing"},
        "auths": {f"127.0.0.1:{port}": {"auth": "aG9zdGlsZTpsb2dpbg=="} for port in (80, 5000)},
    }
    config = tmp_path / ".docker" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps(hostile, indent=3))
    before = config.read_bytes()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(config.parent))
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": hostile["auths"]}))
    monkeypatch.setenv("TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX", "prefix.test")
    pytester.makepyfile(test_steps=(SUITES / "first_push.py").read_text())
    run().assert_outcomes(passed=10)
    assert config.read_bytes() == before
    assert [path.name for path in config.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("last_words", "code"),
    [
        ("assert False", pytest.ExitCode.TESTS_FAILED),
        ("raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED),
        ("import os; os.abort()", -6),
    ],
    ids=["a test fails", "interrupted", "pytest dies"],
)
def test_container_tags_and_registry_go_however_the_run_ends(
    pytester: pytest.Pytester, run: Run, last_words: str, code: int
) -> None:
    pytester.makepyfile(
        f"""
        def test_it(registry, registry_nginx_container, registry_docker_client):
            image = registry_docker_client.images.get("{":".join(OWN_TAG)}")
            image.tag(f"{{registry.host}}/left/behind", "1")
            {last_words}
        """
    )
    assert run("-p", "no:faulthandler").ret == code
