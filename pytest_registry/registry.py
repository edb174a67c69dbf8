"""The registry as tests hold it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.assertions import Assertions
from pytest_registry.clients import engine_address
from pytest_registry.clients.config_directory import ConfigDirectory
from pytest_registry.contents import CurrentLimits, FindEnd, named, repository_of
from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import EngineUnavailable, ImageNotFound, Unsupported
from pytest_registry.images.image import Image
from pytest_registry.limits.operations import Limits
from pytest_registry.oci.names import is_digest
from pytest_registry.oci.reference import check_tag, in_hub_library
from pytest_registry.security.credentials import Credentials
from pytest_registry.watch import Watch, Watched

if TYPE_CHECKING:
    from pytest_registry.clients.cli import DockerCommand
    from pytest_registry.clients.containers import WebContainer
    from pytest_registry.clients.docker_sdk import LoggedInClient
    from pytest_registry.clients.http_session import RegistrySession
    from pytest_registry.clients.oci import OciClient
    from pytest_registry.images.source import ImageSource
    from pytest_registry.security.accounts import Patterns


CLIENTS = ("client", "docker", "http")
"""The cached properties that keep connections."""

Hide = Callable[[tuple[str, ...]], None]
"""Is told what no report may show."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a registry has around it in its run.

    `client_config` is the DOCKER_CONFIG directory, `locks` a directory for lock files, `labels`
    mark what is made in a container engine, `upstream` is where images come from. `find_end` tells
    whether an operation failed because the registry ended; `note_engine_use` is called before a
    container engine is first used for the registry. `hide` is told what no report may show of the
    registry's further logins. `note_repository` is told every repository's whole name before it is
    used. `lacking` tells which of the specification's features the registry lacks, each with the
    reason. `watch` is what the gate before the registry is told and tells.
    """

    client_config: Path
    locks: Path
    labels: Mapping[str, str]
    upstream: str
    find_end: FindEnd
    note_engine_use: Callable[[], None]
    watch: Watch
    hide: Hide
    note_repository: Callable[[str], None] | None = None
    lacking: Callable[[], Mapping[str, str]] = dict


class Registry(Assertions, Watched):
    """A running OCI registry that one is logged in to.

    Every operation raises RegistryEnded where it failed because the registry is gone.
    """

    def __init__(self, endpoint: Endpoint, limits: Limits, surroundings: Surroundings) -> None:
        super().__init__(endpoint, limits, surroundings.find_end, surroundings.note_repository)
        self._around = surroundings
        self._watch = surroundings.watch
        self._others = contextlib.ExitStack()
        self._logged_in: list[Registry] = []
        self._upstreams: dict[str, OciClient] = {}

    @property
    def client_config(self) -> Path:
        """A DOCKER_CONFIG directory that is logged in to this registry, and to no other."""
        return self._around.client_config

    @cached_property
    def docker(self) -> LoggedInClient:
        """A docker-py client that is logged in to the registry; raises EngineUnavailable."""
        from pytest_registry.clients.docker_sdk import LoggedInClient
        from pytest_registry.clients.engine_reach import check_certificates, out_of_reach

        check_certificates(self.host, self._endpoint.tls, self.certificate_directory)
        host = self._endpoint.daemon_host
        if not host:
            raise out_of_reach(self.host)
        self._around.note_engine_use()
        with self._explained(f"log in to {host} with docker-py"):
            return LoggedInClient.log_in(
                host, self.credentials, self.client_config, CurrentLimits(self)
            )

    @cached_property
    def docker_command(self) -> DockerCommand:
        """The `docker` command, logged in; see `registry_docker_cli`. Raises EngineUnavailable."""
        from pytest_registry.clients.cli import DockerCommand
        from pytest_registry.clients.engine_reach import check_certificates

        check_certificates(self.host, self._endpoint.tls, self.certificate_directory)
        return DockerCommand(
            self._endpoint.daemon_host,
            CurrentLimits(self),
            cache(self.environment),
            here=self.host,
        )

    @cached_property
    def http(self) -> RegistrySession:
        """A requests session with the registry's address, login and CA; see `registry_http`."""
        from pytest_registry.clients.http_session import RegistrySession

        return RegistrySession(
            self.url,
            self.credentials,
            ca_file=self.ca_file,
            client_cert=self._endpoint.client_paths,
        )

    def expect_engine_use(self) -> None:
        """Prepare for tests that use the container engine by commands of their own."""
        if self._endpoint.daemon_host and engine_address.is_likely():
            with contextlib.suppress(EngineUnavailable):
                self._around.note_engine_use()

    @cached_property
    def has_container_engine(self) -> bool:
        """Whether a Docker or Podman engine answers on this machine."""
        if not self._endpoint.daemon_host or not engine_address.is_likely():
            return False
        with contextlib.suppress(EngineUnavailable):
            return self.docker is not None
        return False

    def account(
        self,
        name: str | None = None,
        *,
        pull: Patterns = (),
        push: Patterns = (),
        delete: Patterns = (),
        catalog: bool = False,
    ) -> Registry:
        """A further account with these rights and no others: the registry, logged in as it.

        `registry.account("reader", pull="*")`, `registry.account(push=["team/*", "shared"])`: in a
        pattern `*` stands for any text, slashes too. Who may push or delete may pull as well;
        `catalog` is the right to list all repositories. The name becomes one of its own, such as
        `reader-3f9a2c71`, since other tests may have a reader too: `credentials.username` is it.
        The password is made up. Raises Unsupported where the registry knows no rights, OptionError
        for a pattern that is no text.
        """
        from pytest_registry.accounts import add_account

        rights = {"pull": pull, "push": push, "delete": delete}
        made = add_account(self._endpoint, name, **rights, catalog=catalog)
        return self.logged_in(made)

    def logged_in(self, credentials: Credentials) -> Registry:
        """This registry with another login, right or wrong: nothing is tried out here.

        It has a DOCKER_CONFIG directory and clients of its own, and is closed with this one.
        No report shows the password, unless it is a mere word such as "wrong".
        """
        if not credentials.is_word:
            self._around.hide(credentials.secrets)
        name = hashlib.sha256(credentials.basic.encode()).hexdigest()[:12]
        config = self.client_config.with_name(f"{self.client_config.name}-{name}")
        endpoint = dataclasses.replace(self._endpoint, credentials=credentials)
        endpoint.write_client_config(config)
        around = dataclasses.replace(self._around, client_config=config)
        other = Registry(endpoint, self.limits, around)
        self._logged_in.append(other)
        return other

    @property
    def certificate_directory(self) -> Path:
        """For `--cert-dir` of podman, buildah and skopeo: the CA and the client's certificate.

        It is laid out as Docker's `certs.d/HOST`, and is there with TLS only.
        """
        return ConfigDirectory(self.client_config).certificates(self.host)

    def environment(self) -> dict[str, str]:
        """The environment in which commands are logged in to the registry; see `registry_env`."""
        from pytest_registry.clients.environment import client_environment

        self.expect_engine_use()
        return client_environment(self.client_config)

    def supports(self, feature: str) -> bool:
        """Whether the registry has a feature that some registries lack.

        `delete`, `tag-deletion`, `catalog`, `referrers` or `mount`; tried out once per run, in a
        repository `features` of the run's. Raises OptionError for another word.
        """
        return not self.why_not(feature)

    def why_not(self, feature: str) -> str:
        """Why the registry does not support a feature; empty if it does. See `supports`."""
        from pytest_registry.clients.features import check_feature

        return self._around.lacking().get(check_feature(feature), "")

    def close(self) -> None:
        """Close the clients; the registry itself goes on."""
        for other in self._logged_in:
            other.close()
        self._others.close()
        self._upstreams.clear()
        for name in CLIENTS:
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def rest(self) -> None:
        """End the connections of its further logins, which may be used again: between tests."""
        for other in self._logged_in:
            other.rest()
            for name in CLIENTS:
                if name in other.__dict__:
                    other.__dict__[name].close()

    @contextlib.contextmanager
    def narrowed(self, pull: int | None = None, push: int | None = None) -> Iterator[Limits]:
        """Let no more than so many pulls and pushes of this process run at once meanwhile.

        They stay within the run's limits as well. Raises OptionError below 1.
        """
        before, self.limits = self.limits, self.limits.narrowed(pull, push)
        try:
            yield self.limits
        finally:
            self.limits = before

    def push(
        self,
        source: str | Path | ImageSource,
        repository: str | None = None,
        tag: str = "latest",
        *,
        platform: str | None = None,
    ) -> Image:
        """Push an image and return it as the registry holds it.

        `source` is a name (an image of the container engine if it has it, else of the upstream
        registry), the path of an archive or OCI layout, or an image made by `synthetic_image`.
        `repository` is the source's own name without registry where it is not given. `platform`
        picks one of an index, `OS/ARCHITECTURE`; else it is this machine's.

        Raises PushError, ImageNotFound, RateLimited, AuthenticationFailed, InvalidReference; for
        what is no source OptionError.
        """
        name = repository or repository_of(source)
        with self._explained(f"push {source} to {self.reference(name, check_tag(tag))}"):
            found = self.find(source, platform=platform)
            if found is None:
                from pytest_registry.images.engine import push_local

                reference = self.daemon_reference(name, tag)
                push_local(self.docker, str(source), reference, self._around.locks)
            else:
                self.client.push(found, name, tag)
            return self.image(name, tag)

    def find(
        self, source: str | Path | ImageSource, *, platform: str | None = None
    ) -> ImageSource | None:
        """Where a source's content comes from, its manifest read; None for the container engine.

        Raises ImageNotFound, RateLimited, TransferError.
        """
        if isinstance(source, str) and platform is None:
            if self._engine_has(source):
                return None
            if self._endpoint.shuts_engine_out:
                from pytest_registry.images.engine import saved_image

                if (saved := saved_image(source)) is not None:
                    return saved
        try:
            return self._found(source, platform)
        except ImageNotFound:
            # A mirror of Docker Hub has nginx as library/nginx, like Docker Hub itself.
            if not isinstance(source, str) or not in_hub_library(source, self._around.upstream):
                raise
            with contextlib.suppress(ImageNotFound):
                return self._found(f"library/{source}", platform)
            raise

    def pull(self, image: Image | str, tag: str | None = None, *, fresh: bool = False) -> Image:
        """Pull an image, by tag or digest: into the container engine where one answers.

        Without an engine all its content is fetched, verified and dropped; `registry.client.pull`
        keeps it in a directory. `fresh` removes the engine's local tag first, and fetches here what
        the engine shares with other images of its own, so that the layers really travel. Raises
        PullError, ImageNotFound, AuthenticationFailed.
        """
        repository, target = named(image, tag)
        with self._explained(f"pull {self.reference(repository, target)}"):
            whole = False
            if self.has_container_engine:
                from pytest_registry.images.engine import pull_local

                reference = self.daemon_reference(repository, target)
                whole = pull_local(self.docker, reference, self._around.locks, fresh=fresh)
            if not whole:
                self.client.pull(repository, target)
            return self.image(repository, target)

    @contextlib.contextmanager
    def run(
        self, image: Image, *, port: int = 80, path: str = "/", timeout: float = 60.0
    ) -> Iterator[WebContainer]:
        """A container of a pushed image, pulled first, that serves HTTP at its `url`.

        `path` on its own `port` must answer 200 within `timeout` seconds. Raises EngineUnavailable,
        PullError, StartError, Unsupported for a made-up sample image.
        """
        docker = self.docker  # first: without an engine no other image could be run either
        if image.synthetic:
            raise Unsupported(
                f"run {image.reference}",
                f"it is a synthetic image with nothing to run in it: {image.synthetic}",
                "have the sample image in the engine before the run (docker pull nginx), or name"
                " one that is at hand with --registry-sample-image",
                section="no-sample-image",
            )
        from pytest_registry.clients.containers import WebContainer
        from pytest_registry.clients.docker_sdk import pull
        from pytest_registry.clients.engine_reach import reach_of
        from pytest_registry.images.engine import hold

        reference = self.daemon_reference(image)
        with self._explained(f"run {reference}"), contextlib.ExitStack() as held:
            with docker.slot("pull", reference):
                held.enter_context(hold(reference, self._around.locks))
                pull(docker, reference, **docker.way_to(reference))
            container = WebContainer(
                reference,
                port=port,
                reach=reach_of(docker),
                labels=self._around.labels,
                path=path,
                timeout=timeout,
            )
            container.start()
        try:
            yield container
        finally:
            container.stop()

    def copy(
        self, image: Image | str, destination: Registry, repository: str, tag: str | None = None
    ) -> Image:
        """Copy an image of this registry to another one, or to another repository of it.

        Its tag is the image's own where none is given. Raises TransferError and its subclasses.
        """
        from_repository, target = named(image)
        to_tag = tag or (None if is_digest(target) else target)
        with self._explained(f"copy {self.reference(from_repository, target)}"):
            self.client.copy(from_repository, target, destination.client, repository, to_tag)
            return destination.image(repository, to_tag or target)

    def _found(self, source: str | Path | ImageSource, platform: str | None) -> ImageSource:
        from pytest_registry.images.sources import hinting_at_paths, resolve

        upstream = self._around.upstream
        found = resolve(source, connect=self._reach, upstream=upstream, platform=platform)
        with hinting_at_paths(source):
            found.root()
        return found

    def _reach(self, registry: str, /) -> OciClient:
        """A client of another registry, where images come from: one for each, closed with this."""
        from pytest_registry.clients.oci import OciClient

        if registry not in self._upstreams:
            client = self._others.enter_context(OciClient.for_registry(registry))
            self._upstreams[registry] = client
        return self._upstreams[registry]

    def _engine_has(self, name: str) -> bool:
        if not self.has_container_engine:
            return False
        from pytest_registry.clients.docker_sdk import has_image

        return has_image(self.docker, name)
