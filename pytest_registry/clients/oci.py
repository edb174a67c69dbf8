"""A thin OCI client over HTTP (distribution-spec): single requests, and whole images."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import BinaryIO

from pytest_registry.clients import blobs, listing, manifests, referrers
from pytest_registry.clients.blobs import BlobStream
from pytest_registry.clients.destination import RepositoryDestination
from pytest_registry.clients.headers import http_date
from pytest_registry.clients.http import Answer, Body
from pytest_registry.clients.retries import RetryPolicy
from pytest_registry.clients.session import Request, Session, base_url_of
from pytest_registry.clients.tokens import azure_refresh_token
from pytest_registry.clients.user_login import user_login
from pytest_registry.images.layout_writer import Discard, LayoutWriter, check_directory
from pytest_registry.images.platform import OnePlatform, Platform
from pytest_registry.images.source import ImageSource, Readable, blocks_of, check_image
from pytest_registry.images.transfer import Destination, Meter, Progress, transfer
from pytest_registry.images.upstream import RegistryImage
from pytest_registry.limits.policy import Operation, OperationLimits, Unlimited
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest
from pytest_registry.oci.media_types import OCTET_STREAM
from pytest_registry.oci.names import digest_of_blocks, is_any_digest, is_digest
from pytest_registry.oci.namespace import WHOLE, Namespace
from pytest_registry.oci.reference import check_tag, check_target
from pytest_registry.report.progress import shown
from pytest_registry.security.credentials import Credentials


class OciClient:
    """Speaks to one registry. Safe to share between threads; close it, or use it with `with`.

    `base_url` is `http://HOST:PORT` or `https://HOST[:PORT]`; Docker Hub's names are taken for its
    API's host. `timeout` is in seconds, for connecting and for each read. `ca_file` is trusted in
    addition to the system's authorities; `client_cert` is a certificate and its key. The
    environment's proxies are used, but never for this machine; `~/.netrc` never is.

    Every method raises AuthenticationFailed, RateLimited (429 after waiting), ProtocolError (with
    `status` and `codes`) or TransferError (no connection); InvalidReference for names that are not
    the specification's. `push`, `pull` and `copy` hold one slot of `limits`; single requests none.
    Repositories are named as they stand below `namespace`.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None = None,
        *,
        ca_file: Path | None = None,
        client_cert: tuple[Path, Path] | None = None,
        timeout: float = 60.0,
        limits: OperationLimits | None = None,
        user_agent: str = "pytest-registry",
        retries: RetryPolicy | None = None,
        namespace: Namespace = WHOLE,
    ) -> None:
        self._namespace = namespace
        self._session = Session(
            base_url,
            credentials,
            ca_file=ca_file,
            client_cert=client_cert,
            timeout=timeout,
            user_agent=user_agent,
            retries=retries,
        )
        self._limits: OperationLimits = limits or Unlimited()

    @classmethod
    def for_registry(
        cls, registry: str, credentials: Credentials | None = None, *, ca_file: Path | None = None
    ) -> OciClient:
        """A client of the registry that a reference names (`Reference.registry`).

        HTTPS; plain HTTP on this machine where no `ca_file` is given, as the docker command does.
        Without `credentials` the user's own login is used (`clients.user_login`), if there is one.
        """
        url = f"https://{registry}" if ca_file is not None else base_url_of(registry)
        return cls(url, credentials or user_login(registry), ca_file=ca_file)

    def __enter__(self) -> OciClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"OciClient({self._session.base_url!r})"

    def close(self) -> None:
        """End the kept connections."""
        self._session.close()

    @property
    def base_url(self) -> str:
        """The registry's address, ending in a slash."""
        return self._session.base_url

    @property
    def host(self) -> str:
        """The registry's host and port, as references name it."""
        return self._session.host

    def ping(self) -> None:
        """Ask `/v2/`: the registry answers and takes the credentials ("Determining Support")."""
        self._ping()

    def time(self) -> float:
        """The registry's clock in seconds of the epoch, or this machine's where it does not say."""
        return http_date(self._ping().header("Date")) or time.time()

    def missing_features(self) -> dict[str, str]:
        """Features of `clients.features` that the registry lacks, each with what it said.

        They are tried out in repositories `features`. Raises what pushing raises.
        """
        from pytest_registry.clients.features import missing_features

        places = [self._namespace.full(name) for name in ("features", "features-mount")]
        return missing_features(self._session, *places)

    def clear(self, repository: str) -> list[str]:
        """Delete all that a repository's tags lead to; what could not be deleted, as references.

        Raises AuthenticationFailed, RateLimited, TransferError where it cannot even be read.
        """
        from pytest_registry.clients.clearing import clear

        return clear(self._session, self._namespace.full(repository))

    # Manifests

    def manifest(self, repository: str, target: str) -> Manifest:
        """A manifest or index by tag or digest, verified; raises ImageNotFound, PullError.

        Its `digest` is the one that was asked for, and of a tag the registry's own.
        """
        return manifests.get_manifest(self._session, *self._named(repository, target))

    def head(self, repository: str, target: str) -> Descriptor | None:
        """Type, digest and size in bytes of a manifest; None where there is none."""
        return manifests.head_manifest(self._session, *self._named(repository, target))

    def exists(self, repository: str, target: str) -> bool:
        """Whether the repository holds the tag or digest."""
        return self.head(repository, target) is not None

    def put_manifest(self, repository: str, target: str, manifest: Manifest) -> Descriptor:
        """Store a manifest, to the byte, under a tag or digest; keeps referrers lists."""
        return referrers.put_manifest(self._session, *self._named(repository, target), manifest)

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest by digest, with its tags; raises ImageNotFound."""
        referrers.delete_manifest(self._session, *self._named(repository, digest))

    def delete_tag(self, repository: str, tag: str) -> None:
        """Delete a tag, not its manifest; raises ImageNotFound, Unsupported."""
        manifests.delete_tag(self._session, self._namespace.full(repository), check_tag(tag))

    # Blobs

    def blob(self, repository: str, digest: str, *, size: int | None = None) -> BlobStream:
        """A blob as a stream, verified while it is read; close it. Raises ImageNotFound."""
        name = self._namespace.full(repository)
        # One that nobody here can verify is told as such, and not as a bad name: an image names it.
        named = digest if is_any_digest(digest) else check_target(digest)
        return blobs.open_blob(self._session, name, named, size)

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository holds the blob."""
        return blobs.has_blob(self._session, *self._named(repository, digest))

    def put_blob(
        self,
        repository: str,
        content: bytes | BinaryIO,
        *,
        digest: str | None = None,
        media_type: str = OCTET_STREAM,
    ) -> Descriptor:
        """Push a blob, streamed in blocks of 1 MiB, unless the repository holds it already.

        A file is read from where it stands and must be seekable. A `digest` that is given is not
        checked here: the registry does.
        """
        repository = self._namespace.full(repository)
        size, open_content = _content(content)
        name = digest or digest_of_blocks(blocks_of(open_content()))
        blob = Descriptor(media_type, name, size)
        destination = RepositoryDestination(self._session, repository)
        if not destination.has(blob):
            asked = f"push blob {name} to {self.host}/{repository}"
            body = Body(size, lambda: blobs.sized(blocks_of(open_content()), size, asked))
            blobs.upload(self._session, repository, name, body)
        return blob

    def mount_blob(
        self,
        repository: str,
        digest: str,
        from_repository: str,
        content: Callable[[], Readable] | None = None,
        *,
        size: int = 0,
    ) -> bool:
        """Mount a blob of another repository; returns whether the registry did.

        Where it answers 202 instead, `size` bytes of what `content()` opens are uploaded; nothing
        is stored where that is None.
        """
        from_repository = self._namespace.full(from_repository)
        name, digest = self._named(repository, digest)
        if content is None:
            return blobs.mount(self._session, name, digest, from_repository, None)
        asked = f"push blob {digest} to {self.host}/{name}"
        body = Body(size, lambda: blobs.sized(blocks_of(content()), size, asked))
        return blobs.mount(self._session, name, digest, from_repository, lambda: body)

    def delete_blob(self, repository: str, digest: str) -> None:
        """Delete a blob; raises ImageNotFound."""
        blobs.delete_blob(self._session, *self._named(repository, digest))

    # Lists

    def tags(self, repository: str, *, page: int | None = None) -> list[str]:
        """Every tag, sorted, `page` of them per request; raises ImageNotFound."""
        return listing.list_tags(self._session, self._namespace.full(repository), page)

    def repositories(self, *, page: int | None = None) -> list[str]:
        """Every repository of the catalog, sorted, `page` of them per request."""
        return self._namespace.own(listing.list_repositories(self._session, page))

    def referrers(
        self, repository: str, digest: str, artifact_type: str | None = None
    ) -> tuple[Descriptor, ...]:
        """What refers to a manifest, with its `artifactType` and annotations in `extra`.

        Asks the referrers API, or the referrers tag where the registry has no such API.
        """
        name, digest = self._named(repository, digest)
        return referrers.list_referrers(self._session, name, digest, artifact_type)

    # Whole images

    def push(
        self,
        image: ImageSource,
        repository: str,
        tag: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> Descriptor:
        """Push an image with all that it needs; blobs that are there already are not sent.

        Without a `tag` it is there by its digest alone. Raises OptionError for what is no image,
        such as the name of one.
        """
        check_image(image)
        name, target = self._named(repository, tag or "latest")
        named = manifests.reference(self._session, name, target)
        with self._limits.push(repository, reference=target) as operation:
            destination = RepositoryDestination(self._session, name, tag)
            return _transfer(image, destination, operation, f"push {named}", progress)

    def pull(
        self,
        repository: str,
        target: str,
        to: Path | None = None,
        *,
        platform: str | None = None,
        progress: Progress | None = None,
    ) -> Manifest:
        """Pull an image, every platform unless one is named, and verify all of it.

        `to`: a directory that becomes (or already is) an OCI layout; None discards the content.
        Raises OptionError for another `to`.
        """
        if to is not None:
            check_directory(to)
        image = self.image(repository, target, platform=platform, all_platforms=platform is None)
        tag = None if is_digest(target) else target
        named = manifests.reference(self._session, *self._named(repository, target))
        with self._limits.pull(repository, reference=target) as operation:
            destination = Discard() if to is None else LayoutWriter(to, tag)
            _transfer(image, destination, operation, f"pull {named}", progress)
            return image.root()

    def copy(
        self,
        repository: str,
        target: str,
        destination: OciClient,
        to_repository: str,
        to_tag: str | None = None,
        *,
        platform: str | None = None,
        progress: Progress | None = None,
    ) -> Descriptor:
        """Copy an image, every platform unless one is named; mounts within one registry.

        Without `to_tag` it is there by its digest alone. Holds a push slot of the destination and,
        where its limits are others, a pull slot here.
        """
        origin = self._namespace.full(repository)
        name, tag = destination._named(to_repository, to_tag or "latest")
        image = self.image(repository, target, platform=platform, all_platforms=platform is None)
        same = self._session.same_registry(destination._session)
        mount_from = origin if same and origin != name else None
        goal = RepositoryDestination(destination._session, name, to_tag, mount_from)
        named = manifests.reference(goal.session, name, tag)
        with ExitStack() as slots:
            # The pull slot first, as everybody: two copies then never wait for each other.
            if self._limits is not destination._limits:
                slots.enter_context(self._limits.pull(repository, reference=target))
            push = destination._limits.push(to_repository, reference=tag)
            operation = slots.enter_context(push)
            return _transfer(image, goal, operation, f"copy to {named}", progress)

    def image(
        self,
        repository: str,
        target: str = "latest",
        *,
        platform: str | None = None,
        all_platforms: bool = False,
    ) -> ImageSource:
        """An image of this registry, to push elsewhere; of an index this machine's platform."""
        self._named(repository, target)
        image = RegistryImage(self, repository, target)
        if all_platforms:
            return image
        return OnePlatform(image, Platform.parse(platform) if platform else Platform.of_machine())

    def exchange_azure_token(self, access_token: str, tenant: str | None = None) -> Credentials:
        """Credentials for an Azure registry from a Microsoft Entra access token."""
        return azure_refresh_token(self._session.exchange, self.base_url, access_token, tenant)

    def _ping(self) -> Answer:
        request = Request(f"reach the registry {self.host}", "GET", "/v2/", missing=False)
        return self._session.order(request)

    def _named(self, repository: str, target: str) -> tuple[str, str]:
        """The names as they become part of a URL; raises InvalidReference."""
        full = self._namespace.full(repository)
        return full, check_target(target)


def _transfer(
    image: ImageSource,
    destination: Destination,
    operation: Operation,
    what: str,
    progress: Progress | None,
) -> Descriptor:
    """Move the image, and show how that goes where nobody else is told and it takes long."""
    with shown(what) if progress is None else nullcontext(progress) as told:
        return transfer(image, destination, Meter(operation.transferred, told))


def _content(content: bytes | BinaryIO) -> tuple[int, Callable[[], Readable]]:
    """The size in bytes, and how to read it from the start as often as it takes."""
    if isinstance(content, bytes):
        return len(content), lambda: io.BytesIO(content)
    start = content.tell()
    size = content.seek(0, io.SEEK_END) - start

    def open_content() -> Readable:
        content.seek(start)
        return _KeptOpen(content)

    return size, open_content


class _KeptOpen:
    """A caller's file, which is not ours to close."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        return
