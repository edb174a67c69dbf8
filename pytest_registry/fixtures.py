"""The fixtures: what `pytest --fixtures` shows is their manual."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_registry.clients.cli import DockerCommand
    from pytest_registry.clients.containers import WebContainer
    from pytest_registry.clients.docker_sdk import LoggedInClient
    from pytest_registry.clients.http_session import RegistrySession
    from pytest_registry.clients.oci import OciClient
    from pytest_registry.gate.remote import ActiveFault
    from pytest_registry.images.image import Image
    from pytest_registry.limits.operations import Limits
    from pytest_registry.registry import Registry
    from pytest_registry.sample import Push
    from pytest_registry.sharing.member import Member

MEMBER: pytest.StashKey[Member] = pytest.StashKey()
SETTING_UP: pytest.StashKey[list[pytest.FixtureRequest]] = pytest.StashKey()
"""The fixtures that are being set up, each asked for by the one before it."""
ITEM: pytest.StashKey[pytest.Item] = pytest.StashKey()
"""The test that runs, or ran last."""

BEHIND_MARKS = {
    "registry_needs": "registry_needs",
    "push_image": "registry_images",
    "registry_limits": "registry_limits",
    "registry_fault": "registry_faults",
}
"""A mark, and the fixture that does what it says."""

WANTING = frozenset({"registry", "registry_factory", *BEHIND_MARKS.values()})
"""One of these is among the fixtures of every test that wants a registry and says so."""


def member_of(config: pytest.Config) -> Member:
    """This process's part in the run; made, with all that it imports, when it is first needed."""
    if MEMBER not in config.stash:
        from pytest_registry.sharing.member import Member
        from pytest_registry.sharing.telling import Teller

        config.stash[MEMBER] = Member(config)
        config.pluginmanager.register(Teller(config, config.stash[MEMBER]), "registry-teller")
    return config.stash[MEMBER]


def asking(config: pytest.Config) -> pytest.FixtureRequest | pytest.Item | None:
    """Who asks now: the innermost fixture that is being set up, else the test that runs."""
    fixtures = config.stash.get(SETTING_UP, [])
    return fixtures[-1] if fixtures else config.stash.get(ITEM, None)


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A running OCI registry with random credentials, one for the whole run and all its workers.

    It has `url`, `host` (as it stands in a reference), `scheme`, `ca_file`, `credentials`
    (`username`, `password`), `engine`; `reference(repository, tag)`, `push`, `pull`, `copy`,
    `image`, `repositories`, `tags`, `manifest`, `blob`, `exists`, `delete`, `referrers`, `limits`,
    `supports(feature)`; `daemon_reference` for a container engine on another machine;
    `account(name, pull="*")` for a further account with rights of its own; `assert_exists`,
    `assert_missing`, `assert_tags`, `assert_same`, `assert_referred`, which tell what is there.

    It is started when a test first asks for it, and removed after the run, whatever happens.
    """
    found = member_of(request.config).registry()
    yield found
    found.close()


@pytest.fixture(scope="session")
def registry_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., Registry]]:
    """A function that starts a further registry, for tests that need one of their own.

    `registry_factory(auth="bearer", tls="on")`: the keywords are options as in the ini file,
    without their prefix; what is not given is as for the run's registry. It lives as long as the
    fixture that asked for it, by that one's scope; where a test itself asked, until the end of the
    test; with `scope="session"` until the end of this worker's session, whoever asked. Raises
    OptionError for a value that the option does not take, and for `keep` and `reuse`, which are for
    the run's registry only.
    """
    from pytest_registry.sharing.further import FurtherRegistries

    further = FurtherRegistries(member_of(request.config), lambda: asking(request.config))
    yield further.start
    further.close()


@pytest.fixture(scope="session")
def registry_client(registry: Registry) -> OciClient:
    """An OCI client over HTTP that is logged in to the registry; it needs no container engine.

    It pushes, pulls and copies images (within the run's limits), and reads and deletes manifests,
    blobs, tags and referrers.
    """
    return registry.client


@pytest.fixture(scope="session")
def registry_docker_client(registry: Registry) -> LoggedInClient:
    """A docker-py client that is logged in to the registry, and to nothing of the user's.

    `images.push` and `images.pull` take the run's slots and raise where docker-py would only
    report. Raises EngineUnavailable where no container engine answers.
    """
    return registry.docker


@pytest.fixture(scope="session")
def registry_docker_cli(registry: Registry) -> DockerCommand:
    """The `docker` command, logged in to the registry: its push and pull raise where they fail.

    `push(reference)` and `pull(reference)` take the run's slots and raise PushError, PullError,
    ImageNotFound, AuthenticationFailed; `run("tag", "nginx", reference)` is any other command and
    takes none. Each returns what the command said (`stdout`, `stderr`), and `outputs` keeps all.
    """
    return registry.docker_command


@pytest.fixture(scope="session")
def registry_http(registry: Registry) -> RegistrySession:
    """A requests session that is logged in to the registry and trusts its CA.

    `registry_http.get("/v2/_catalog").json()`: addresses are relative to the registry. It answers
    Basic and Bearer challenges, raises nothing for an answer that says no, and takes no slots.
    `registry_http.token("repository:a/b:pull,push")` is a bearer token, for clients that want one.
    """
    return registry.http


@pytest.fixture(scope="session")
def registry_docker_config(registry: Registry) -> Path:
    """A directory for DOCKER_CONFIG whose config.json is logged in to the registry only."""
    return registry.client_config


@pytest.fixture
def registry_env(registry: Registry) -> dict[str, str]:
    """The environment in which commands are logged in to the registry.

    A copy of this process's for `subprocess.run([...], env=registry_env)`: with DOCKER_CONFIG for
    docker, crane, regctl and oras, HELM_REGISTRY_CONFIG, DOCKER_HOST, and for podman, buildah and
    skopeo REGISTRY_AUTH_FILE and CONTAINERS_REGISTRIES_CONF (so they take plain HTTP from this
    registry). With TLS, SSL_CERT_FILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE name a file with the
    system's authorities and the run's. `registry.account(...).environment()` is the same for
    another account.
    """
    return registry.environment()


@pytest.fixture
def registry_namespace(request: pytest.FixtureRequest) -> str:
    """A repository prefix that is this test's alone, such as `test-push-3f9a1c`."""
    import secrets

    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    namespace = f"{name or 'test'}-{secrets.token_hex(3)}"
    member_of(request.config).current.namespace = namespace
    return namespace


@pytest.fixture
def registry_push(
    request: pytest.FixtureRequest, registry: Registry, registry_namespace: str
) -> Push:
    """A function that pushes an image into this test's own namespace, and returns it.

    `registry_push("nginx")`: the source is as for `registry.push`, the sample image if none is
    given. Another `repository` than `NAMESPACE/NAME` may be given.
    """
    from pytest_registry.sharing.marks import pushing

    return pushing(registry, member_of(request.config), registry_namespace)


@pytest.fixture
def registry_images(request: pytest.FixtureRequest, registry: Registry) -> list[Image]:
    """The images of this test's `push_image` marks, the closest mark's first.

    `@pytest.mark.push_image("nginx", repository="samples/nginx", tag="latest")` pushes once per
    run, before the test, whether or not it asks for this fixture. Without a repository it stands
    below `samples/` by its own name; without a source it is the sample image, `samples/nginx`.
    """
    from pytest_registry.sharing.marks import pushed

    marks = request.node.iter_markers("push_image")
    return pushed(marks, registry, member_of(request.config))


@pytest.fixture
def registry_limits(request: pytest.FixtureRequest, registry: Registry) -> Iterator[Limits]:
    """The limits that apply to this test: the run's, narrowed by its `registry_limits` mark.

    `with registry_limits.pull("samples/nginx") as operation:` holds a slot, `operation.waited` are
    the seconds that took. Without the mark it is `registry.limits`; with it, pushes and pulls of
    the plugin's own clients in this test keep to the narrower limits too.
    """
    from pytest_registry.sharing.marks import narrowed

    with narrowed(request.node.get_closest_marker("registry_limits"), registry):
        yield registry.limits


@pytest.fixture
def registry_needs(request: pytest.FixtureRequest, registry: Registry) -> None:
    """Skips the test where the registry lacks what its `registry_needs` marks name, and says why.

    `@pytest.mark.registry_needs("delete", "referrers")`: `delete`, `tag-deletion`, `catalog`,
    `referrers`, `mount`. They are tried out once per run; `registry.supports("delete")` asks too.
    """
    from pytest_registry.sharing.marks import needed

    for feature in needed(request.node.iter_markers("registry_needs")):
        if why := registry.why_not(feature):
            pytest.skip(f"the registry lacks {feature}: {why}")


@pytest.fixture
def registry_faults(
    request: pytest.FixtureRequest,
    registry: Registry,
    registry_namespace: str,  # noqa: ARG001 - makes the namespace that the faults keep to
) -> Iterator[list[ActiveFault]]:
    """The faults of this test's `registry_fault` marks, the closest mark's first, while in force.

    `@pytest.mark.registry_fault("GET blob", nth=2, status=503)`: see `registry.faults` for having
    one during a part of a test, and `pytest_registry.Fault` for all that can go wrong. They meet
    the requests of this test only, those of this worker's account and those to its
    `registry_namespace`, unless `everywhere=True`. Each has `hits`, how many requests it met.
    Where several are due, the closest mark's decides first.
    """
    from pytest_registry.gate.fault import marked

    marks = request.node.iter_markers("registry_fault")
    found = [marked(*mark.args, **mark.kwargs) for mark in marks]
    with ExitStack() as stack:
        # The closest mark's comes last, for the latest fault decides first.
        active = [
            stack.enter_context(registry.faults(fault, everywhere=everywhere))[0]
            for fault, everywhere in reversed(found)
        ]
        yield active[::-1]


@pytest.fixture(scope="session")
def registry_nginx_image(request: pytest.FixtureRequest, registry: Registry) -> Image:
    """The sample image (nginx) in the registry as `samples/nginx`, pushed once per run.

    It has `reference`, `repository`, `tag`, `digest` (the registry's), `size` in bytes, and
    `synthetic`: why it is a made-up image and not nginx, empty if it is nginx. That happens only
    where neither an engine nor the upstream registry has it and no other one was asked for.
    """
    from pytest_registry.sharing.marks import sample_image

    return sample_image(registry, member_of(request.config))


@pytest.fixture(scope="session")
def registry_nginx_container(
    registry: Registry, registry_nginx_image: Image
) -> Iterator[WebContainer]:
    """A container started from the pushed `samples/nginx`, ready to answer at its `url`.

    A testcontainers `DockerContainer` on a random port of 127.0.0.1, one per worker. Raises
    EngineUnavailable where no container engine answers.
    """
    with registry.run(registry_nginx_image) as container:
        yield container
