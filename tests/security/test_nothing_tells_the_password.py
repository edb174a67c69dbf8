"""No output and no file tells the run's password, but for the files that are meant to."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pytest_registry.security.credentials import Credentials

FAILING = """
    import logging, shutil, subprocess
    import pytest
    from pytest_registry import synthetic_image

    def test_by_docker_py(registry, registry_docker_client):
        registry_docker_client.images.push(f"{registry.host}/not/there", tag="1")

    def test_by_pull(registry):
        registry.pull("not/there", "1")

    def test_over_http(registry, registry_client):
        registry_client.push(synthetic_image(), "a/b", "1")
        registry_client.manifest("a/b", "2")

    def test_by_a_command(registry_env):
        subprocess.run(["docker", "pull", "127.0.0.1:1/not/there"], env=registry_env, check=True)

    def test_of_its_own_making(registry):
        password = registry.credentials.password
        print(password)
        logging.getLogger("mine").error("logged in with %s", registry.credentials.basic)
        assert password == ""

    def test_the_state_is_kept_for_the_outer_test(registry, request):
        no_pipes = shutil.ignore_patterns("*.pipe")
        state = request.config.rootpath / "state"
        shutil.copytree(registry.client_config.parent, state, ignore=no_pipes)
        (request.config.rootpath / "password").write_text(registry.credentials.password)
"""
MEANT_TO_HOLD_IT = {"state.json", "accounts.json", "config.json"}


def told_by(text: str, secrets: tuple[str, ...]) -> list[str]:
    return [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "a worker"])
@pytest.mark.container_engine
def test_a_failing_run_that_shows_all_its_locals_keeps_the_secret(
    pytester: pytest.Pytester,
    leaves_nothing_behind: None,
    ci_registry_image: str,
    workers: tuple[str, ...],
) -> None:
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_subprocess(
        "-vv",
        "-rA",
        "--showlocals",
        "--full-trace",
        "--log-level=DEBUG",
        "--junitxml=report.xml",
        "--registry-engine=container",
        f"--registry-image={ci_registry_image}",
        *workers,
    )
    result.assert_outcomes(passed=1, failed=5)
    root = pytester.path
    secrets = Credentials("pytest", (root / "password").read_text()).secrets
    said = result.stdout.str() + result.stderr.str() + (root / "report.xml").read_text()
    assert "password   = '***'" in said
    assert told_by(said, secrets) == []
    for path in filter(Path.is_file, (root / "state").rglob("*")):
        if path.name in MEANT_TO_HOLD_IT:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        else:
            assert told_by(path.read_text(errors="replace"), secrets) == [], path
