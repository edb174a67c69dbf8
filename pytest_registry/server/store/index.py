"""Who holds what: repositories with their blobs, manifests and tags.

The index changes by events only. A journal that keeps the events can therefore build it again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Event = tuple[Any, ...]
"""(kind, repository, ...): a row of `_APPLY` says what follows. It is JSON-able."""


class StoredManifest(NamedTuple):
    """What is known of a manifest without reading it. The last three are for its referrers list."""

    digest: str
    media_type: str
    size: int
    subject: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """As an event carries it."""
        return {key: value for key, value in self._asdict().items() if value is not None}


class Repository:
    """One repository. It exists as long as it holds a blob or a manifest."""

    __slots__ = ("blobs", "manifests", "tags")

    def __init__(self) -> None:
        self.blobs: dict[str, int] = {}
        self.manifests: dict[str, StoredManifest] = {}
        self.tags: dict[str, str] = {}

    def find(self, reference: str) -> StoredManifest | None:
        """A manifest by tag or digest (a tag never holds a colon)."""
        digest = reference if ":" in reference else self.tags.get(reference)
        return None if digest is None else self.manifests.get(digest)


class Index:
    """All repositories, and how often each digest is held."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self._held: Counter[str] = Counter()

    def holds(self, digest: str) -> bool:
        """Whether any repository has this digest, as a blob or as a manifest."""
        return digest in self._held

    @property
    def digests(self) -> set[str]:
        """Every digest that is held."""
        return set(self._held)

    def apply(self, event: Event) -> None:
        """Change the index. Removing what is not there changes nothing."""
        kind, name, *rest = event
        repository = self.repositories.setdefault(name, Repository())
        _APPLY[kind](self, repository, *rest)
        if not repository.blobs and not repository.manifests:
            del self.repositories[name]

    def knows(self, event: Event) -> bool:
        """Whether something that is added, a blob, a manifest or a tag, is there just so."""
        kind, name, *rest = event
        repository = self.repositories.get(name)
        if repository is None:
            return False
        if kind == "manifest":
            added = StoredManifest(**rest[0])
            return repository.manifests.get(added.digest) == added
        there: Mapping[str, int | str] = repository.blobs if kind == "blob" else repository.tags
        return bool(there.get(rest[0]) == rest[1])

    def events(self) -> Iterator[Event]:
        """The fewest events that lead to this state."""
        for name, repository in self.repositories.items():
            for digest, size in repository.blobs.items():
                yield ("blob", name, digest, size)
            for manifest in repository.manifests.values():
                yield ("manifest", name, manifest.to_json())
            for tag, digest in repository.tags.items():
                yield ("tag", name, tag, digest)

    def losing(self, digest: str) -> list[Event]:
        """The events by which no repository holds a digest any more."""
        events: list[Event] = []
        for name, repository in self.repositories.items():
            if digest in repository.blobs:
                events.append(("no-blob", name, digest))
            if digest in repository.manifests:
                events.append(("no-manifest", name, digest))
        return events

    def _hold(self, digest: str) -> None:
        self._held[digest] += 1

    def _release(self, digest: str) -> None:
        self._held[digest] -= 1
        if self._held[digest] <= 0:
            del self._held[digest]

    def _add_blob(self, repository: Repository, digest: str, size: int) -> None:
        if digest not in repository.blobs:
            self._hold(digest)
        repository.blobs[digest] = size

    def _remove_blob(self, repository: Repository, digest: str) -> None:
        if repository.blobs.pop(digest, None) is not None:
            self._release(digest)

    def _add_manifest(self, repository: Repository, value: dict[str, Any]) -> None:
        manifest = StoredManifest(**value)
        if manifest.digest not in repository.manifests:
            self._hold(manifest.digest)
        repository.manifests[manifest.digest] = manifest

    def _remove_manifest(self, repository: Repository, digest: str) -> None:
        # "any tag pointing to that digest will return a 404" ("Deleting Manifests")
        for tag in [tag for tag, target in repository.tags.items() if target == digest]:
            del repository.tags[tag]
        if repository.manifests.pop(digest, None) is not None:
            self._release(digest)

    def _set_tag(self, repository: Repository, tag: str, digest: str) -> None:
        if digest in repository.manifests:
            repository.tags[tag] = digest

    def _remove_tag(self, repository: Repository, tag: str) -> None:
        repository.tags.pop(tag, None)


_APPLY: dict[str, Callable[..., None]] = {
    "blob": Index._add_blob,
    "no-blob": Index._remove_blob,
    "manifest": Index._add_manifest,
    "no-manifest": Index._remove_manifest,
    "tag": Index._set_tag,
    "no-tag": Index._remove_tag,
}
