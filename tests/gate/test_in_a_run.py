"""Faults, throttling and the log of requests as tests use them, in runs with and without xdist."""

from __future__ import annotations

import json

import pytest

EMBEDDED = "--registry-engine=embedded"

IN_ONE_TEST = """
    import pytest
    from pytest_registry import Fault, RegistryError, Throttle, synthetic_image

    IMAGE = synthetic_image(layers=2)

    def test_with_registry_faults(registry, registry_push):
        image = registry_push(IMAGE)
        with registry.faults("GET blob", nth=2, status=503) as fault:
            registry.client.pull(image.repository, image.tag)
            assert fault.hits == 1
        registry.requests.assert_pulled_once(image.repository, image.tag)
        assert registry.requests.where("GET blob", status=503).faulty

    def test_with_several(registry, registry_push):
        image = registry_push(IMAGE)
        with registry.faults(Fault("HEAD", status=500), Fault(on="GET", status=404)) as faults:
            with pytest.raises(RegistryError):
                registry.client.manifest(image.repository, image.tag)
        assert [each.hits for each in faults] == [0, 1]

    @pytest.mark.registry_fault("PUT manifest", status=429, retry_after=1, times=1)
    @pytest.mark.registry_fault("PUT manifest", delay=0.01)
    def test_with_marks(registry, registry_push, registry_faults):
        registry_push(IMAGE)
        assert [each.hits for each in registry_faults] == [2, 1]
        registry.requests.assert_backed_off()

    @pytest.mark.registry_fault("GET base", status=502)
    @pytest.mark.registry_fault(Fault("GET base", status=503), everywhere=True)
    def test_with_marks_of_which_the_closest_decides(registry, registry_faults):
        assert registry.http.get(registry.url + "/v2/").status_code == 503
        assert [each.hits for each in registry_faults] == [1, 0]

    def test_the_log_begins_anew_with_each_test(registry):
        assert not registry.requests
        registry.repositories()
        assert registry.requests.where("GET catalog", status=200)

    def test_with_throttling(registry, registry_push):
        image = registry_push(IMAGE)
        with registry.throttle(read=1, retry_after=False) as throttle:
            assert throttle == Throttle(read=1, retry_after=False)
            registry.client.manifest(image.repository, image.tag)
            answer = registry.http.get(registry.url + "/v2/")
            assert answer.status_code == 429
        assert len(registry.requests.throttled) == 1

    def test_what_is_unknown_is_named(registry):
        with pytest.raises(RegistryError, match="one of strict, azure-basic"):
            registry.throttle("azure").__enter__()
        with pytest.raises(RegistryError, match="one of on, repository, reference"):
            registry.faults("GET", code=503)
"""


def test_a_test_makes_the_registry_fail_and_sees_what_happened(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(IN_ONE_TEST)
    result = pytester.runpytest_subprocess(EMBEDDED)
    result.assert_outcomes(passed=7)
    result.stdout.re_match_lines([r"^\d+ requests, .* in, .* out, 1 throttled, \d+ faulty$"])


def test_a_mark_holds_everywhere_where_it_says_so(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(
        """
        import pytest

        def statuses(registry):
            others = registry.account(pull="*")
            return [each.http.get(f"{each.url}/v2/").status_code for each in (registry, others)]

        @pytest.mark.registry_fault("GET base", status=503, everywhere=True)
        def test_everywhere(registry, registry_faults):
            assert statuses(registry) == [503, 503]
            assert registry_faults[0].hits == 2

        @pytest.mark.registry_fault("GET base", status=503)
        def test_here(registry):
            assert statuses(registry) == [503, 200]

        @pytest.mark.registry_fault("GET base", status=503, everywhere="gw1")
        def test_neither(registry): pass
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED, "-n1")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*could not use 'gw1' as a fault's everywhere*"])


@pytest.mark.parametrize("options", [("--registry-auth=bearer",), ("--registry-tls=on",)])
def test_the_same_with_other_logins_and_tls(
    pytester: pytest.Pytester, leaves_nothing_behind: None, options: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        from pytest_registry import synthetic_image

        def test_all(registry, registry_push):
            image = registry_push(synthetic_image())
            with registry.faults("GET blob", redirect=True, times=1) as fault:
                registry.client.pull(image.repository, image.tag)
            assert fault.hits == 1
            if registry.endpoint.auth == "bearer":
                with registry.faults("manifest", expire_token=True) as fault:
                    registry.client.manifest(image.repository, image.tag)
                assert fault.hits == 1
            assert registry.requests[-1].account == registry.credentials.username
        """
    )
    pytester.runpytest_subprocess(EMBEDDED, *options).assert_outcomes(passed=1)


def test_a_429_comes_from_the_token_endpoint(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(
        """
        from pytest_registry import synthetic_image

        def test_all(registry):
            with registry.faults("token", status=429, retry_after=1, times=1) as fault:
                registry.repositories()
            assert fault.hits == 1
            registry.requests.assert_backed_off()
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED, "--registry-auth=bearer")
    result.assert_outcomes(passed=1)


SIDE_BY_SIDE = """
    import pytest
    from pytest_registry import RegistryError, synthetic_image

    @pytest.mark.parametrize("number", range(6))
    def test_broken(registry, registry_push, number):
        image = registry_push(synthetic_image(number))
        with registry.faults("GET blob", corrupt=True):
            for _ in range(10):
                with pytest.raises(RegistryError):
                    registry.client.pull(image.repository, image.tag)

    @pytest.mark.parametrize("number", range(6))
    def test_whole(registry, registry_push, number):
        image = registry_push(synthetic_image(number))
        for _ in range(10):
            registry.client.pull(image.repository, image.tag)
        seen = registry.requests.where("blob")
        assert len(seen.where("GET", status=200)) == 20
        assert {each.repository for each in seen} == {image.repository}
        if registry.endpoint.auth != "none":  # nobody is asked who they are
            assert {each.worker for each in registry.requests.where("PUT")} == {registry_worker()}
        assert not registry.requests.faulty

    def registry_worker():
        import os
        return os.environ["PYTEST_XDIST_WORKER"]
"""


@pytest.mark.parametrize("auth", ["basic", "bearer", "none"])
def test_workers_meet_their_own_faults_only(
    pytester: pytest.Pytester, leaves_nothing_behind: None, auth: str
) -> None:
    pytester.makepyfile(SIDE_BY_SIDE)
    result = pytester.runpytest_subprocess(EMBEDDED, "-n2", f"--registry-auth={auth}")
    result.assert_outcomes(passed=12)


@pytest.mark.container_engine
@pytest.mark.parametrize("auth", ["basic", "bearer", "none"])
def test_workers_meet_their_own_faults_only_before_a_container(
    pytester: pytest.Pytester, ci_registry_image: str, auth: str
) -> None:
    pytester.makepyfile(SIDE_BY_SIDE)
    result = pytester.runpytest_subprocess(
        *("--registry-engine=container", f"--registry-image={ci_registry_image}"),
        *("--registry-gateway", "-n2", f"--registry-auth={auth}"),
    )
    result.assert_outcomes(passed=12)


def test_a_failing_test_shows_its_own_requests_and_the_registrys_log(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(
        """
        def test_other(registry):
            registry.exists("not/mine", "other")

        def test_failing(registry):
            registry.exists("my/app", "missing")
            assert False

        def test_without_a_registry():
            assert False
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED)
    result.assert_outcomes(passed=1, failed=2)
    failures = result.stdout.str().partition("test_failing")[2].partition("test_without")[0]
    requests, _, log = failures.partition("the registry's last log lines")
    assert "requests that reached the registry in this test" in requests
    assert "/v2/my/app/manifests/missing 404" in requests
    assert "/v2/not/mine/manifests/other" not in requests
    assert "/v2/not/mine/manifests/other 404" in log
    assert "/v2/my/app/manifests/missing" not in log
    without = result.stdout.str().partition("_ test_without_a_registry _")[2]
    assert "the registry's last log lines" not in without


STRICT = """
    import threading
    import time
    from pytest_registry import synthetic_image

    def test_strict(registry, registry_push):
        image = registry_push(synthetic_image(layer_size=100_000))
        layer = registry.manifest(image.repository, image.tag).layers[0].digest
        def get(number):
            return registry.http.get(
                f"{registry.url}/v2/{image.repository}/blobs/{layer}",
                headers={"User-Agent": f"tool/{number}"},
                stream=True,
            )
        with registry.faults("GET blob", bandwidth=1000):
            with get(0) as held:  # it goes on for 100 s, or until it is let go
                assert held.status_code == 200
                for number in (1, 2, 3):
                    with get(number) as refused:
                        assert refused.status_code == 429
        deadline = time.monotonic() + 30
        while not registry.requests.where("GET blob", status=200):  # until it is over there too
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found = []
        def pull(number):
            with registry.limits.pull(), get(number) as answer:
                found.append((answer.status_code, len(answer.content) >= 100_000))
        threads = [threading.Thread(target=pull, args=(number,)) for number in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert found == [(200, True)] * 4
"""


@pytest.mark.parametrize(
    "kind", ["embedded", pytest.param("container", marks=pytest.mark.container_engine)]
)
def test_the_whole_run_is_throttled_where_it_is_asked_for(
    pytester: pytest.Pytester, ci_registry_image: str, kind: str
) -> None:
    pytester.makepyfile(STRICT)
    result = pytester.runpytest_subprocess(
        *(f"--registry-engine={kind}", f"--registry-image={ci_registry_image}"),
        *("--registry-gateway", "--registry-throttle=strict", "--registry-pull-limit=1"),
    )
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r".* 3 throttled.*"])


def test_the_picture_of_a_run_is_written_where_it_is_asked_for(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import synthetic_image

        @pytest.mark.parametrize("number", range(4))
        def test_all(registry, registry_push, number):
            image = registry_push(synthetic_image(number))
            with registry.faults("GET blob", status=503, times=1):
                registry.client.pull(image.repository, image.tag)
        """
    )
    result = pytester.runpytest_subprocess(EMBEDDED, "-n2", "--registry-report=out/run.html")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["report: */out/run.html, and run.json beside it"])
    data = json.loads((pytester.path / "out" / "run.json").read_text())
    assert {each["kind"] for each in data["operations"]} == {"pull", "push"}
    assert {each["worker"] for each in data["operations"]} <= {"gw0", "gw1"}
    assert len(data["operations"]) == 8
    assert len(data["marks"]) == data["traffic"]["faulty"] == 4
    assert "</html>" in (pytester.path / "out" / "run.html").read_text()


def test_a_report_that_cannot_be_written_is_told_and_fails_nothing(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile("def test_all(registry): pass")
    (pytester.path / "out").write_text("a file")
    result = pytester.runpytest_subprocess(EMBEDDED, "--registry-report=out/run.html")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["could not write the report */out/run.html: *"])


def test_a_run_that_breaks_nothing_loads_nothing_that_breaks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        from pytest_registry import synthetic_image

        def test_all(registry, registry_push):
            image = registry_push(synthetic_image())
            registry.client.pull(image.repository, image.tag)
            loaded = {name for name in sys.modules if name.startswith("pytest_registry.")}
            assert "pytest_registry.registry" in loaded
            assert not {name for name in loaded if name.startswith("pytest_registry.gate.")}
            assert not loaded & {"pytest_registry.report.html", "pytest_registry.report.picture"}
        """
    )
    pytester.runpytest_subprocess(EMBEDDED).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ('faults("GET catalog", status=404, everywhere=True)', 404),
        ('throttle("azure-basic", read_per_account=1, everywhere=True)', 429),
        ('faults("GET catalog", status=404)', 200),
    ],
)
def test_what_holds_everywhere_meets_other_workers_too(
    pytester: pytest.Pytester, rule: str, status: int
) -> None:
    waiting = """
        import pathlib, time

        def wait_for(name):
            deadline = time.monotonic() + 30
            while not pathlib.Path(name).exists():
                assert time.monotonic() < deadline, name
                time.sleep(0.01)
    """
    breaking = f"""
        def test_breaks(registry):
            with registry.{rule}:
                pathlib.Path("broken").touch()
                wait_for("looked")
    """
    looking = f"""
        def test_looks(registry):
            wait_for("broken")
            found = [registry.http.get(f"{{registry.url}}/v2/_catalog").status_code for _ in "12"]
            pathlib.Path("looked").touch()
            assert found[1] == {status}
            assert set(registry.requests.statuses) == set(found)
    """
    pytester.makepyfile(test_one=waiting + breaking, test_two=waiting + looking)
    result = pytester.runpytest_subprocess(EMBEDDED, "-n2", "--dist=loadfile")
    result.assert_outcomes(passed=2)
