"""`rediss://`: a real redis-server with TLS and a password, and what is told without trust."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from pytest_registry.engines.external import PASSWORD as ACCOUNT_PASSWORD
from pytest_registry.engines.external import USERNAME
from pytest_registry.errors import OptionError, StateError
from pytest_registry.limits.distributed import RedisSlots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import RegistryServer, ServerSettings
from tests.distributed.conftest import LEASE, REGISTRY, RedisServer, use, why_no_redis

SECRET = "pass/word:of@redis"
IN_URL = "pass%2Fword%3Aof%40redis"
ACCOUNT = Credentials("ci", "a-password-of-the-registry")


class TlsRedis:
    """A redis-server that speaks TLS only, with certificates of an authority of the test's."""

    def __init__(self, place: Path) -> None:
        self.place = place
        authority = trustme.CA()
        authority.cert_pem.write_to_path(place / "ca.pem")
        trustme.CA().cert_pem.write_to_path(place / "other-ca.pem")
        for name, host in (("server", "127.0.0.1"), ("client", "client.test")):
            made = authority.issue_cert(host)
            made.private_key_and_cert_chain_pem.write_to_path(place / f"{name}.pem")
        self.server = RedisServer(place, "--port", "0", "--requirepass", SECRET)

    def start(self, *, mutual: bool = False) -> None:
        self.server.options += (
            *("--tls-port", str(self.server.port), "--tls-ca-cert-file", f"{self.place}/ca.pem"),
            *("--tls-cert-file", f"{self.place}/server.pem"),
            *("--tls-key-file", f"{self.place}/server.pem"),
            *("--tls-auth-clients", "yes" if mutual else "no"),
        )
        self.server.start()

    def url(self, host: str = "127.0.0.1", ca: str = "ca.pem", more: str = "") -> str:
        query = f"ssl_ca_certs={self.place}/{ca}{more}"
        return f"rediss://:{IN_URL}@{host}:{self.server.port}?{query}"


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsRedis]:
    why_no_redis()
    made = TlsRedis(tmp_path)
    monkeypatch.setattr("pytest_registry.limits.leases.LONGEST_LEASE", LEASE)
    yield made
    # They connect again and again until the lease is over. Python leaves a socket open, and warns
    # of it, whose other side goes between its connecting and its first word of TLS.
    for thread in threading.enumerate():
        if thread.name == "pytest-registry limits":
            thread.join()
    made.server.end()


def limits_of(url: str, lease: float = LEASE) -> Limits:
    return Limits(RedisSlots(url, REGISTRY, lease), LimitPolicy(pull=1, push=1, timeout=20))


@pytest.mark.parametrize("mutual", [False, True])
def test_slots_are_kept_over_tls(secure: TlsRedis, mutual: bool) -> None:
    secure.start(mutual=mutual)
    pair = f"&ssl_certfile={secure.place}/client.pem&ssl_keyfile={secure.place}/client.pem"
    limits = limits_of(secure.url(more=pair if mutual else ""))
    with limits.pull("a/b"):
        assert [holder.repository for holder in limits.holders("pull")] == ["a/b"]
    assert not limits.holders("pull")


@pytest.mark.parametrize(
    ("host", "ca", "said"),
    [
        ("127.0.0.1", "other-ca.pem", "certificate verify failed"),
        ("localhost", "ca.pem", "certificate is not valid for 'localhost'"),
        ("127.0.0.1", "missing.pem", "No such file"),
    ],
)
def test_a_redis_that_is_not_trusted_is_told_at_once(
    secure: TlsRedis, host: str, ca: str, said: str
) -> None:
    secure.start()
    where = f"keep the limits in Redis at {host}:{secure.server.port}"
    limits = limits_of(secure.url(host, ca), lease=1.0)
    with pytest.raises(StateError, match=where) as caught, limits.pull():
        pass
    assert said in caught.value.happened
    assert "ssl_ca_certs=FILE" in caught.value.remedy
    assert caught.value.section == "no-redis"
    assert SECRET not in str(caught.value)
    assert IN_URL not in str(caught.value)


@pytest.mark.parametrize("more", ["&nonsense=1", "&socket_timeout=soon", "&ssl_cert_reqs=maybe"])
def test_an_address_that_the_redis_package_does_not_take_is_an_error_of_the_option(
    secure: TlsRedis, more: str
) -> None:
    with pytest.raises(OptionError, match=r"does not take the address") as caught:
        limits_of(secure.url(more=more))
    assert IN_URL not in str(caught.value)


PUSHES = """
import pytest
from pytest_registry import synthetic_image

@pytest.mark.parametrize("number", range(4))
def test_push(registry, number):
    registry.push(synthetic_image(number), f"a/b{number}")
"""


@pytest.mark.parametrize("ca", ["ca.pem", "other-ca.pem"], ids=["trusted", "not-trusted"])
def test_a_run_never_shows_the_password_of_its_redis(
    secure: TlsRedis,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    ca: str,
) -> None:
    secure.start()
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    monkeypatch.setenv("PYTEST_REGISTRY_LIMITS_URL", secure.url(ca=ca))
    monkeypatch.setenv("PYTEST_REGISTRY_LIMITS_LEASE", "10")
    monkeypatch.setenv(USERNAME, ACCOUNT.username)
    monkeypatch.setenv(ACCOUNT_PASSWORD, ACCOUNT.password)
    pytester.makepyfile(PUSHES)
    with RegistryServer(ServerSettings(credentials=ACCOUNT)) as server:
        if ca == "ca.pem":
            use(secure.url(), server.host)
        result = pytester.runpytest_subprocess(
            *("-n", "2", "-vv", "-rA", "--showlocals", "--full-trace", "--log-level=DEBUG"),
            *("--junitxml=report.xml", "-p", "no:cacheprovider", "--registry-report=report.html"),
            *(f"--registry-url={server.url}", "--registry-push-limit=1"),
        )
    said = result.stdout.str() + result.stderr.str()
    for path in ("report.xml", "report.html"):
        said += (pytester.path / path).read_text() if (pytester.path / path).exists() else ""
    if ca == "ca.pem":
        result.assert_outcomes(passed=4)
        assert secure_keys(secure) > 0, "the run did not ask this Redis"
    else:
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert f"could not keep the limits in Redis at 127.0.0.1:{secure.server.port}" in said
    assert [secret for secret in (SECRET, IN_URL, ACCOUNT.password) if secret in said] == []


def secure_keys(secure: TlsRedis) -> int:
    import redis

    with redis.Redis.from_url(secure.url()) as client:
        return len(client.keys("pytest-registry:*"))
