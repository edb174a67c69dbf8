"""What a failed test's report says of the registries that the test used."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from pytest_registry.sharing import last_words

EMBEDDED = "--registry-engine=embedded"
FURTHER = """
    import pytest

    @pytest.fixture(scope="session")
    def registry(registry_factory):
        return registry_factory(engine="embedded")
"""


def test_a_registry_fixture_of_the_suites_own_shows_what_reached_it(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makeconftest(FURTHER)
    pytester.makepyfile(
        """
        def test_failing(registry):
            registry.exists("my/app", "missing")
            assert False
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED)
    result.assert_outcomes(failed=1)
    requests = result.stdout.str().partition("requests that reached the registry in this test")[2]
    assert "/v2/my/app/manifests/missing 404" in requests


def test_each_registry_of_a_test_is_told_apart_and_no_other_is_shown(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(
        """
        def test_others(registry_factory):
            registry_factory(engine="embedded").exists("not/mine", "other")

        def test_failing(registry, registry_factory):
            registry.exists("my/app", "here")
            registry_factory(engine="embedded").exists("my/app", "there")
            assert False
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED)
    result.assert_outcomes(passed=1, failed=1)
    said = result.stdout.str()
    sections = re.split(r"-+ requests that reached the registry (127\S+) in this test -+", said)
    assert len(set(sections[1::2])) == 2
    assert "manifests/here 404" in sections[2]
    assert "manifests/there 404" in sections[4]
    assert "not/mine" not in said


@pytest.mark.container_engine
@pytest.mark.parametrize("tls", ["off", "on", "mutual"])
def test_a_containers_last_log_lines_are_of_what_the_test_did(
    pytester: pytest.Pytester, ci_registry_image: str, tls: str
) -> None:
    if tls != "off":
        pytest.importorskip("trustme", reason="makes the registry's certificates")
    pytester.makepyfile(
        """
        import time

        def test_failing(request):
            request.getfixturevalue("registry")
            assert False

        def test_failing_too(registry):
            registry.exists("my/app", "missing")
            log = registry.client_config.parent / "registry.log"
            deadline = time.monotonic() + 30
            while "manifests/missing" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert False
        """
    )
    result = pytester.runpytest_subprocess(
        "--registry-engine=container",
        f"--registry-image={ci_registry_image}",
        f"--registry-tls={tls}",
    )
    result.assert_outcomes(failed=2)
    log = result.stdout.str().partition("the registry's last log lines")[2]
    assert "/v2/my/app/manifests/missing" in log
    assert "GET /v2/ HTTP/1.0" not in log, "our look whether it serves was taken for a request"
    assert "TLS handshake error" not in log, "our look whether it serves did not speak TLS"


def test_a_containers_log_is_read_once_nothing_more_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "registry.log"
    late = ["GET 1\n", "GET 2\n", "", "GET 3\n"]

    def lines_arrive(seconds: float) -> None:
        with log.open("a") as file:
            file.write(late.pop(0))

    monkeypatch.setattr(time, "sleep", lines_arrive)
    last_words.wait_until_quiet(log)
    assert log.read_text() == "GET 1\nGET 2\n"


@pytest.mark.parametrize("tls", ["on", "mutual"])
def test_an_embedded_registrys_last_log_lines_are_of_what_the_test_did(
    pytester: pytest.Pytester, tls: str, leaves_nothing_behind: None
) -> None:
    pytest.importorskip("trustme", reason="makes the registry's certificates")
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import ImageNotFound

        def test_failing(registry):
            with pytest.raises(ImageNotFound):
                registry.pull("my/app", "missing")
            assert False
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED, f"--registry-tls={tls}")
    result.assert_outcomes(failed=1)
    assert "/v2/my/app/manifests/missing 404" in result.stdout.str()
    assert "broke off" not in result.stdout.str(), "our look whether it serves broke off"


def test_a_failure_is_reported_even_where_nothing_can_be_told_of_the_registry(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(
        """
        import errno

        def test_failing(registry):
            from pytest_registry.sharing import failing

            def sections(*about, asked):
                raise OSError(errno.EMFILE, "Too many open files")

            failing.sections = sections
            assert registry.url == "another"
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED)
    result.assert_outcomes(failed=1)
    assert "INTERNALERROR" not in result.stdout.str()
