"""The same suite against a registry that runs already: below a prefix, and gone afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_registry.engines.external import (
    ANONYMOUS,
    PASSWORD,
    USERNAME,
    account_for,
    made_by_run,
)
from pytest_registry.errors import AuthenticationFailed, OptionError
from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.options import OPTIONS
from pytest_registry.security.credentials import Credentials
from pytest_registry.settings import Settings
from pytest_registry.sharing.limiting import secrets_of
from pytest_registry.values import Value
from tests.conftest import PYTEST

if TYPE_CHECKING:
    from tests.external.conftest import Serve, Served, Suite

UNCHANGED = """
import pytest
from pytest_registry import synthetic_image

@pytest.mark.push_image(synthetic_image(1), repository="samples/nginx")
def test_an_image_of_the_run(registry, registry_images, registry_client):
    image = registry_images[0]
    assert image.reference == registry.reference("samples/nginx")
    assert image.pinned.startswith(image.reference.rpartition(":")[0] + "@sha256:")
    assert registry_client.exists("samples/nginx", "latest")
    assert "samples/nginx" in registry.repositories()
    assert registry.pull(image).digest == image.digest
    registry.copy(image, registry, "copied/nginx", "2")
    assert registry.tags("copied/nginx") == ["2"]
    print("place", registry.reference("samples/nginx"))

def test_a_namespace_of_its_own(registry, registry_push, registry_namespace):
    image = registry_push(synthetic_image(2), None, "1")
    assert image.repository.startswith(registry_namespace)
    index = registry.push(synthetic_image(3, platforms=["linux/amd64", "linux/arm64"]), "an/index")
    registry.push(synthetic_image(artifact_type="application/x", subject=synthetic_image(1)),
                  "samples/nginx", "signed")
    assert registry.exists("an/index")
"""

PUSHES = """
from pytest_registry import synthetic_image
def test_push(registry):
    registry.push(synthetic_image(1), "samples/one")
    print("place", registry.reference("samples/one"))
"""


def place(result: pytest.RunResult) -> str:
    """What the inner suite printed of its reference."""
    found = re.search(r"^place (\S+)", result.stdout.str(), re.MULTILINE)
    assert found
    return found[1]


OTHERS = ["team/app", "team/pytest-not-a-run/app"]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_suite_runs_unchanged_below_a_prefix_that_is_empty_afterwards(
    serve: Serve, suite: Suite, workers: tuple[str, ...]
) -> None:
    served = serve()
    result = suite(served, UNCHANGED, "-rP", *workers, below="/team/ci")
    result.assert_outcomes(passed=2)
    host = served.url.partition("://")[2]
    assert re.match(
        rf"{host}/team/ci/pytest-[0-9a-f-]+-\d{{10}}/samples/nginx:latest", place(result)
    )
    result.stdout.re_match_lines([r"all below .*/team/ci/pytest-.* was deleted"])
    assert served.tagged() == OTHERS


def test_debians_registry_serves_it_too_and_says_what_it_lacks(
    debian: Served, suite: Suite
) -> None:
    result = suite(debian, UNCHANGED)
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines(
        [r"registry: external, anonymously, at .*", r"the registry lacks tag-deletion: .*"]
    )
    result.stdout.re_match_lines([r"the registry lacks referrers: .*", r"all below .* was deleted"])
    assert debian.tagged() == OTHERS


def test_what_cannot_be_deleted_is_listed(serve: Serve, suite: Suite) -> None:
    served = serve("DELETE")
    result = suite(served, PUSHES, "-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["the registry did not delete:", place(result), "look for it later with: *sweep --url*"]
    )
    assert f"{place(result).rpartition(':')[0].partition('/')[2]}" in served.tagged()


def test_without_a_catalog_the_runs_repositories_are_known_all_the_same(
    serve: Serve, suite: Suite
) -> None:
    served = serve("catalog")
    result = suite(served, PUSHES, "-n", "2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["the registry lacks catalog: *", "all below * was deleted"])


def test_a_test_that_needs_a_feature_is_skipped_with_the_reason(serve: Serve, suite: Suite) -> None:
    body = """
    import pytest

    @pytest.mark.registry_needs("delete", "referrers")
    def test_marked(): raise AssertionError("it must not run")

    @pytest.mark.registry_needs("referrers")
    def test_fulfilled(registry): assert registry.supports("referrers")

    def test_asked(registry):
        assert not registry.supports("delete")
        with pytest.raises(Exception, match="nobody knows it"):
            registry.supports("flight")
    """
    result = suite(serve("DELETE"), body, "-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*the registry lacks delete:*"])


def test_our_own_engines_are_asked_for_features_as_well(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(
        "def test_it(registry):\n"
        "    assert all(map(registry.supports,"
        " ['delete', 'tag-deletion', 'catalog', 'referrers', 'mount']))"
    )
    result = pytester.runpytest_subprocess("--registry-engine=embedded")
    result.assert_outcomes(passed=1)


def test_a_killed_runs_keeper_deletes_what_it_pushed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    pushed = tmp_path / "pushed"
    suite = tmp_path / "test_killed.py"
    suite.write_text(
        "import pathlib, time\nfrom pytest_registry import synthetic_image\n"
        "def test_push(registry):\n    registry.push(synthetic_image(1), 'samples/one')\n"
        f"    pathlib.Path({str(pushed)!r}).touch()\n    time.sleep(60)\n"
    )
    environment = {
        **os.environ,
        USERNAME: "someone",
        PASSWORD: served.account.password if served.account else "",
        "PYTEST_REGISTRY_URL": served.url,
        "PYTEST_REGISTRY_STATE_DIR": str(tmp_path / "state"),
        "DOCKER_HOST": "unix:///no/such/engine.sock",
    }
    command = [*PYTEST, "-p", "no:cacheprovider", str(suite)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        until(pushed.exists)
        assert len(served.tagged()) == len(OTHERS) + 1
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: served.tagged() == OTHERS)


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that takes a second or two."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_refused_password_fails_every_test_once_and_is_never_shown(
    serve: Serve, suite: Suite
) -> None:
    served = serve()
    wrong = type(served)(served.url, Credentials("someone", "not-the-password"))
    result = suite(wrong, PUSHES, "--showlocals")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*AuthenticationFailed*"])
    assert "not-the-password" not in result.stdout.str()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pa/secret@127.0.0.1:6379",
        "redis://:pa#secret@127.0.0.1:6379",
        "redis://:12?secret@127.0.0.1:6379",
        "redis://:pa]secret@127.0.0.1:6379",
        "redis://:pa[secret@127.0.0.1:6379",
        "rediss://127.0.0.1:99999?password=secret",
    ],
)
def test_a_redis_whose_password_is_not_encoded_is_refused_without_showing_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("PYTEST_REGISTRY_LIMITS_URL", url)
    pytester.makepyfile(PUSHES)
    result = pytester.runpytest_subprocess("--registry-url=http://127.0.0.1:1", "--showlocals")
    said = result.stdout.str() + result.stderr.str()
    assert "percent-encoded" in said
    assert "secret" not in said
    with pytest.raises(OptionError, match="percent-encode") as caught:
        RedisSlots(url, "registry.example")
    assert "secret" not in str(caught.value)


def test_what_stands_before_the_host_of_a_redis_is_kept_from_reports() -> None:
    url = "redis://me:pa/ss?wo@rd@127.0.0.1:6379"
    hidden = secrets_of(settings_with(limits_url=url))
    assert "pa/ss?wo@rd" in hidden


def settings_with(**given: object) -> Settings:
    values = {each.name: Value(given.get(each.name, each.default), "a test") for each in OPTIONS}
    return Settings.of(values)


def test_an_empty_variable_gives_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option in OPTIONS:
        monkeypatch.setenv(option.env, "")
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_registry_that_does_not_answer_is_an_error_that_names_it(suite: Suite) -> None:
    from tests.external.conftest import Served

    result = suite(Served("http://127.0.0.1:1", None), PUSHES, "--registry-start-timeout=0.1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*could not reach the registry 127.0.0.1:1*"])


@pytest.mark.parametrize("tls", ["off", "on", "mutual"])
def test_the_gateway_before_it_shows_a_test_its_own_requests_only(
    suite: Suite, serve: Serve, tls: str
) -> None:
    if tls != "off":
        pytest.importorskip("trustme", reason="makes the gateway's certificates")
    body = """
    from pytest_registry import synthetic_image
    def test_push(registry):
        assert list(registry.requests) == []
        registry.push(synthetic_image(1), "samples/one")
        assert len(registry.requests.where("PUT manifest")) == 1
    """
    result = suite(serve(), body, "--registry-gateway", f"--registry-tls={tls}")
    result.assert_outcomes(passed=1)


# Options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--registry-engine=external"], "nothing says where it is"),
        (
            ["--registry-url=https://me:secret@host/x"],
            "PYTEST_REGISTRY_PASSWORD in the environment",
        ),
        (["--registry-url=host/x"], "https://HOST"),
        (["--registry-url=https://host:99999/x"], "https://HOST"),
        (["--registry-url=https://[host/x"], "https://HOST"),
        (["--registry-url=https://host/UPPER"], "https://HOST"),
        (["--registry-url=https://host", "--registry-engine=embedded"], "leave one of them out"),
        (["--registry-limits-url=redis://:secret@host"], "PYTEST_REGISTRY_LIMITS_URL"),
        (["--registry-limits-url=http://host"], "redis://HOST"),
    ],
)
def test_options_that_cannot_be_are_refused_without_showing_a_password(
    pytester: pytest.Pytester, arguments: list[str], said: str
) -> None:
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])
    assert "secret" not in result.stderr.str() + result.stdout.str()


# Accounts ---------------------------------------------------------------------------------------


def test_the_account_comes_from_the_environment_else_the_docker_config_else_there_is_none(
    tmp_path: Path,
) -> None:
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    answer = json.dumps({"Username": "00000000-0000-0000-0000-000000000000", "Secret": "refresh"})
    helper.write_text(f"#!/bin/sh\necho '{answer}'\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"host.example": "test"}}))
    config = {"DOCKER_CONFIG": str(tmp_path)}
    given = {**config, USERNAME: "me", PASSWORD: "mine"}
    assert account_for("host.example", given)[0] == Credentials("me", "mine")
    path = {"PATH": f"{helper.parent}:{os.environ['PATH']}"}
    found, whence = account_for("host.example", {**config, **path})
    assert (found.password, "own login" in whence) == ("refresh", True)
    assert account_for("other.example", config)[0] == ANONYMOUS


@pytest.mark.parametrize("given", [{USERNAME: "me"}, {PASSWORD: "mine"}])
def test_half_an_account_is_an_error(given: dict[str, str]) -> None:
    with pytest.raises(AuthenticationFailed, match="is missing in the environment"):
        account_for("host.example", given)


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "prefix", "began"),
    [
        ("ci/pytest-12-0123456789ab-1700000000/samples/nginx", "ci", 1700000000.0),
        ("pytest-12-0123456789ab-1700000000/x", "", 1700000000.0),
        ("ci/pytest-12-0123456789ab-1700000000/x", "", None),
        ("other/pytest-12-0123456789ab-1700000000/x", "ci", None),
        ("ci/pytest-12-0123456789ab/x", "ci", None),
        ("ci/app", "ci", None),
        ("ci/pytest-cov-1500000000/app", "ci", None),
        ("ci/pytest-xdist-123456789/img", "ci", None),
        ("ci/pytest-12-ab34-1700000000/x", "ci", None),
        ("ci/pytest-12-0123456789ab-17000000000/x", "ci", None),
    ],
)
def test_only_what_a_run_made_directly_below_the_prefix_counts(
    repository: str, prefix: str, began: float | None
) -> None:
    assert made_by_run(repository, prefix) == began
