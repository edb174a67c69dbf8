"""The gateway in whole runs: before containers, and before registries that run already."""

from __future__ import annotations

import pytest


@pytest.mark.container_engine
def test_without_the_gateway_a_container_says_what_to_do(
    pytester: pytest.Pytester, ci_registry_image: str
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import RegistryError

        def test_all(registry):
            for ask in (
                lambda: registry.requests,
                lambda: registry.faults("GET", status=500).__enter__(),
                lambda: registry.throttle("strict").__enter__(),
            ):
                with pytest.raises(RegistryError, match="--registry-gateway"):
                    ask()
        """
    )
    options = ("--registry-engine=container", f"--registry-image={ci_registry_image}")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess(*options, "--registry-throttle=strict")
    result.assert_outcomes(failed=0, errors=1)
    assert "--registry-gateway" in result.stdout.str()


@pytest.mark.container_engine
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-n2",),
        ("--registry-auth=bearer", "--registry-tls=on"),
        ("-n2", "--registry-auth=bearer"),
    ],
)
def test_behind_the_gateway_a_container_takes_all_of_it(
    pytester: pytest.Pytester,
    ci_registry_image: str,
    leaves_nothing_behind: None,
    options: tuple[str, ...],
) -> None:
    pytester.makepyfile(
        """
        import os
        import pytest
        from pytest_registry import synthetic_image

        @pytest.mark.registry_fault("PUT manifest", status=429, retry_after=1, times=1)
        def test_faults(registry, registry_push, registry_faults):
            image = registry_push(synthetic_image(layers=2))
            assert registry_faults[0].hits == 1
            registry.requests.assert_backed_off()
            with registry.faults("GET blob", nth=1, reset="middle") as fault:
                registry.client.pull(image.repository, image.tag)
            assert fault.hits == 1
            with registry.throttle(read=1, retry_after=False):
                statuses = [registry.http.head(registry.url + "/v2/").status_code for _ in "12"]
                assert 429 in statuses
            if registry.endpoint.auth == "bearer":
                before = len(registry.requests.where("token"))
                with registry.faults("manifest", expire_token=True) as fault:
                    registry.client.manifest(image.repository, image.tag)
                assert fault.hits == 1
                assert len(registry.requests.where("token")) == before + 1

        def test_requests(registry, registry_push):
            image = registry_push(synthetic_image(layers=2))
            registry.client.pull(image.repository, image.tag)
            registry.requests.assert_pulled_once(image.repository)
            worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
            expected = "main" if registry.credentials.username == "pytest" else worker
            assert {each.worker for each in registry.requests.where("PUT")} == {expected}
        """
    )
    result = pytester.runpytest_subprocess(
        *("--registry-engine=container", f"--registry-image={ci_registry_image}"),
        *("--registry-gateway", "--registry-throttle=azure-basic", *options),
    )
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines([r"registry: .*, behind our gateway, at .*"])


def test_behind_the_gateway_a_registry_that_runs_already_takes_it_too(
    pytester: pytest.Pytester,
) -> None:
    from pytest_registry.server import RegistryServer, ServerSettings

    pytester.makepyfile(
        """
        from pytest_registry import synthetic_image

        def test_all(registry, registry_push):
            image = registry_push(synthetic_image())
            name = image.repository
            with registry.faults("GET blob", repository=name, status=503, times=1) as fault:
                registry.client.pull(image.repository, image.tag)
            assert fault.hits == 1
            registry.requests.assert_pulled_once(image.repository)
        """
    )
    with RegistryServer(ServerSettings()) as server:
        url = f"--registry-url={server.url}/team"
        state = f"--registry-state-dir={pytester.path / 'state'}"
        result = pytester.runpytest_subprocess(url, "--registry-gateway", state)
        result.assert_outcomes(passed=1)
        at = server.url.partition("://")[2]  # not the gateway's, which is gone by then
        result.stdout.fnmatch_lines([f"all below {at}/team/pytest-* was deleted"])


@pytest.mark.container_engine
@pytest.mark.parametrize("kind", ["embedded", "container"])
@pytest.mark.parametrize("auth", ["none", "basic"])
def test_neither_nobody_nor_who_may_log_in_steers_the_gate(
    pytester: pytest.Pytester, ci_registry_image: str, kind: str, auth: str
) -> None:
    pytester.makepyfile(
        """
        import base64, stat

        def test_all(registry):
            mine = registry.credentials
            logins = [("", ""), (mine.username, mine.password), (mine.username, "")]
            basic = [base64.b64encode(":".join(each).encode()).decode() for each in logins]
            for value in ("", "Bearer", "Bearer ", *(f"Basic {each}" for each in basic)):
                answer = registry.http.put(
                    f"{registry.url}/_pytest_registry/faults/theirs",
                    json={"rule": {"status": 500}, "scope": {}},
                    headers={"Authorization": value},
                )
                assert answer.status_code in (401, 404), value
            assert registry.http.put(f"{registry.url}/_pytest_registry/faults/x").status_code == 404
            with registry.faults("GET catalog", status=404, times=1) as fault:
                assert registry.http.get(f"{registry.url}/v2/_catalog").status_code == 404
            assert fault.hits == 1
            assert registry.http.get(f"{registry.url}/v2/_catalog").status_code == 200

        def test_its_key_is_in_the_private_state_only(registry):
            key = registry.endpoint.gate_key
            assert key in registry.secrets
            assert key not in repr(registry.endpoint)
            files = [each for each in registry.client_config.parent.rglob("*") if each.is_file()]
            holders = [each for each in files if key.encode() in each.read_bytes()]
            assert [each.name for each in holders] == ["state.json"]
            assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600
        """
    )
    options = (f"--registry-engine={kind}", f"--registry-image={ci_registry_image}")
    result = pytester.runpytest_subprocess(
        *options, "--registry-gateway", f"--registry-auth={auth}"
    )
    result.assert_outcomes(passed=2)


@pytest.mark.container_engine
def test_a_failing_test_shows_its_requests_and_the_containers_log(
    pytester: pytest.Pytester, ci_registry_image: str
) -> None:
    pytester.makepyfile(
        """
        import time

        def test_failing(registry):
            with registry.faults("manifest", status=503, answer="html", times=1):
                registry.http.get(f"{registry.url}/v2/my/app/manifests/latest?token=s3cret")
            assert not registry.exists("my/app", "missing")
            log, deadline = registry.client_config.parent / "registry.log", time.monotonic() + 30
            while "manifests/missing" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert False
        """
    )
    result = pytester.runpytest_subprocess(
        *("--registry-engine=container", f"--registry-image={ci_registry_image}"),
        *("--registry-gateway", "--registry-auth=bearer"),
    )
    result.assert_outcomes(failed=1)
    requests, _, log = result.stdout.str().partition("the registry's last log lines")
    requests = requests.partition("requests that reached the registry in this test")[2]
    assert "GET /v2/my/app/manifests/latest 503" in requests
    assert "(fault: status 503)" in requests
    assert "GET /oauth2/token 200" in requests
    assert "s3cret" not in requests
    assert "manifests/missing" in log.partition("short test summary")[0]


@pytest.mark.container_engine
def test_no_log_and_no_report_of_a_run_holds_a_login_or_a_token(
    pytester: pytest.Pytester, ci_registry_image: str
) -> None:
    pytester.makepyfile(
        """
        import base64, pathlib, re
        from pytest_registry import synthetic_image

        def test_all(registry, registry_push):
            image = registry_push(synthetic_image())
            registry.pull(image.repository, image.tag)
            answer = registry.http.get(
                f"{registry.url}/oauth2/token?scope=registry:catalog:*&password=in-a-query",
                headers={"Authorization": registry.credentials.basic},
            )
            log = pathlib.Path(registry.endpoint.request_log).read_text()
            assert '"route":"token"' in log
            pathlib.Path("secrets.txt").write_text(
                "\\n".join([*registry.secrets, answer.json()["token"], "in-a-query"])
            )
            pathlib.Path("log.txt").write_text(log)
        """
    )
    result = pytester.runpytest_subprocess(
        *("--registry-engine=container", f"--registry-image={ci_registry_image}"),
        *("--registry-gateway", "--registry-auth=bearer", "--registry-report=run.html"),
    )
    result.assert_outcomes(passed=1)
    secrets = (pytester.path / "secrets.txt").read_text().split("\n")
    assert len(secrets) >= 4
    for name in ("log.txt", "run.html", "run.json"):
        written = (pytester.path / name).read_text()
        assert len(written) > 100
        assert [each for each in secrets if each in written] == []
