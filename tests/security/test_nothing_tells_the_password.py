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
FURTHER_LOGINS = """
    from pathlib import Path
    import pytest
    from pytest_registry import Credentials

    @pytest.fixture(scope="session")
    def logins(registry, tmp_path_factory):
        readers = registry.account("reader", pull="*"), registry.account(pull="*")
        typed = registry.logged_in(Credentials("someone", "Typed-by-1-hand"))
        word = registry.logged_in(Credentials("someone", "wrong"))
        found = [each.credentials for each in (*readers, typed)]
        Path("passwords").write_text("\\n".join(each.password for each in found))
        return found, word

    def test_of_further_logins(logins):
        (reader, other, typed), word = logins
        password, header = reader.password, {"Authorization": other.basic}
        print(password, typed.basic)
        raise ValueError(f"it went wrong with {typed.password}")

    def test_of_a_further_registry(registry_factory):
        password = registry_factory(engine="embedded").account().credentials.password
        with open("passwords", "a") as file:
            file.write(f"\\n{password}")
        assert password == ""
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


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "a worker"])
def test_no_report_shows_the_password_of_a_login_that_was_made_later(
    pytester: pytest.Pytester, leaves_nothing_behind: None, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(FURTHER_LOGINS)
    result = pytester.runpytest_subprocess(
        "-rA", "--showlocals", "--full-trace", "--registry-engine=embedded", *workers
    )
    result.assert_outcomes(failed=2)
    said = result.stdout.str() + result.stderr.str()
    passwords = (pytester.path / "passwords").read_text().split()
    assert len(passwords) == 4
    for password in passwords:
        assert told_by(said, Credentials("someone", password).secrets) == []
    assert "it went wrong with ***" in said
