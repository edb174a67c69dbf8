"""A forked child and its parent never speak on one connection."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

from pytest_registry import Registry
from pytest_registry.clients.oci import OciClient
from pytest_registry.images.synthetic import synthetic_image
from pytest_registry.server import RegistryServer, ServerSettings

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

TIMES = 40


@pytest.fixture
def url() -> Iterator[str]:
    with RegistryServer(ServerSettings()) as server:
        yield server.url


def in_child(work: Callable[[], None]) -> int:
    """Fork a child that does the work and exits with 0, or with 1 where that fails."""
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(60)  # a child that hangs is ended
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def succeeded(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def both(work: Callable[[str], None], *names: str) -> None:
    """Have children and their parent do the work at the same time, each with a name of its own."""
    children = [in_child(lambda name=name: work(name)) for name in names[1:]]  # type: ignore[misc]
    try:
        work(names[0])
    finally:
        done = [succeeded(child) for child in children]
    assert all(done)


def test_each_gets_the_answers_to_its_own_requests(url: str) -> None:
    names = [f"image-{number}" for number in range(3)]
    with OciClient(url) as client:
        digests = {
            name: client.push(synthetic_image(number), "forks", name).digest
            for number, name in enumerate(names)
        }

        def ask(name: str) -> None:
            for _ in range(TIMES):
                found = client.head("forks", name)
                assert found is not None
                assert found.digest == digests[name]

        both(ask, *names)


def test_the_requests_session_is_split_too(registry: Registry, registry_namespace: str) -> None:
    names = ["parent", "child"]
    for name in names:
        registry.push(synthetic_image(), f"{registry_namespace}/{name}")
    session = registry.http

    def ask(name: str) -> None:
        for _ in range(TIMES):
            answer = session.get(f"/v2/{registry_namespace}/{name}/tags/list")
            assert answer.json()["name"] == f"{registry_namespace}/{name}"

    both(ask, *names)


def test_an_adapter_of_ones_own_stays_as_it_is(registry: Registry) -> None:
    session = registry.logged_in(registry.credentials).http
    adapter: Any = HTTPAdapter(max_retries=5)
    session.mount("http://", adapter)
    had = adapter.poolmanager
    session.after_fork()
    assert session.get_adapter(registry.url) == adapter
    assert adapter.max_retries.total == 5
    assert adapter.poolmanager is not had


@pytest.mark.container_engine
def test_so_is_the_engines_client(
    registry_factory: Callable[..., Registry], ci_registry_image: str, ci_nginx_image: str
) -> None:
    docker = registry_factory(engine="container", image=ci_registry_image).docker
    images = [ci_registry_image, ci_nginx_image]
    ids = {name: docker.api.inspect_image(name)["Id"] for name in images}

    def ask(name: str) -> None:
        for _ in range(TIMES):
            assert docker.api.inspect_image(name)["Id"] == ids[name]

    both(ask, *images)


def test_a_tls_connection_is_not_taken_over(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme", reason="makes the certificates of this test")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    settings = ServerSettings(certificate=tmp_path / "server.pem", key=tmp_path / "server.pem")
    with (
        RegistryServer(settings) as server,
        OciClient(server.url, ca_file=tmp_path / "ca.pem") as client,
    ):
        client.ping()
        assert succeeded(in_child(client.ping))
        client.ping()


def test_a_child_waits_for_no_lock_that_a_thread_of_its_parent_holds(url: str) -> None:
    with OciClient(url) as client:
        client.ping()
        transport = client._session._transport
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with transport._lock:
                held.set()
                done.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        try:
            child = in_child(client.ping)
        finally:
            done.set()
            thread.join()
        assert succeeded(child)
