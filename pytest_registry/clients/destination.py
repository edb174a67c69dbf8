"""A repository as the destination of a transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pytest_registry.clients import blobs, referrers
from pytest_registry.clients.http import Body
from pytest_registry.clients.session import Session
from pytest_registry.images.source import Readable, blocks_of
from pytest_registry.oci.descriptor import Descriptor
from pytest_registry.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class RepositoryDestination:
    """One repository; `tag` names the image there, None leaves it by its digest alone.

    `mount_from`: another repository of the same registry that holds the blobs already.
    """

    session: Session
    repository: str
    tag: str | None = None
    mount_from: str | None = None

    def has(self, blob: Descriptor) -> bool:
        """One HEAD; not where a mount follows, which costs one request too and does as much."""
        if self.mount_from is not None:
            return False
        return blobs.has_blob(self.session, self.repository, blob.digest, "pull", "push")

    def receive(
        self, blob: Descriptor, open_blob: Callable[[], Readable], *, checked: bool
    ) -> bool:
        """Mount or upload."""
        if self.mount_from is None:
            body = self._body(blob, open_blob, checked=checked)
            blobs.upload(self.session, self.repository, blob.digest, body)
            return True
        return not blobs.mount(
            self.session,
            self.repository,
            blob.digest,
            self.mount_from,
            lambda: self._body(blob, open_blob, checked=checked),
        )

    def keep(self, manifest: Manifest) -> None:
        """Store a child by the digest that its index lists it by."""
        referrers.put_manifest(self.session, self.repository, manifest.digest, manifest)

    def finish(self, root: Manifest) -> Descriptor:
        """Store the image's own manifest under the tag, else by its digest."""
        target = self.tag or root.digest
        return referrers.put_manifest(self.session, self.repository, target, root)

    def _body(self, blob: Descriptor, open_blob: Callable[[], Readable], *, checked: bool) -> Body:
        if not checked:  # a broken image: what there is, whatever its descriptor says
            return Body.of(b"".join(blocks_of(open_blob())))

        def blocks() -> Iterator[bytes]:
            asked = f"push blob {blob.digest} to {self.session.host}/{self.repository}"
            return blobs.sized(blocks_of(open_blob()), blob.size, asked)

        return Body(blob.size, blocks)
