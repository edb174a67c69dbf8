"""The store: contents, index and journal, kept in step."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable, Sequence

from pytest_registry.server.store.contents import Contents, StoredContent
from pytest_registry.server.store.disk import DiskContents
from pytest_registry.server.store.index import Event, Index, Repository, StoredManifest
from pytest_registry.server.store.journal import FileJournal, Journal, NoJournal
from pytest_registry.server.store.memory import MemoryContents
from pytest_registry.server.store.uploads import Upload, Uploads

Condition = Callable[[str | None], None]
"""Keeps a change from happening by what it raises. It is given the digest of what is there now."""


class Store:
    """Every change happens under one lock: content first, then the journal, then the index.

    Names, tags and digests are valid when they come here. A full disk raises OSError and changes
    nothing. Looking things up takes no lock: single steps on a dictionary are atomic.
    """

    def __init__(
        self, contents: Contents, journal: Journal, index: Index, upload_timeout: float
    ) -> None:
        self._contents = contents
        self._journal = journal
        self._index = index
        self._lock = threading.Lock()
        self.uploads = Uploads(contents, upload_timeout)

    def close(self) -> None:
        """Drop open uploads and release the directory."""
        self._contents.close()
        with self._lock:  # not in the midst of a change by a handler that outlives the server
            self._journal.close()

    def repository(self, name: str) -> Repository | None:
        """A repository, to look at only; None if it holds nothing."""
        return self._index.repositories.get(name)

    def repositories(self) -> list[str]:
        """The names of all repositories, sorted."""
        with self._lock:
            return sorted(self._index.repositories)

    def tags(self, repository: Repository) -> list[str]:
        """Its tags, sorted as Go's sort.Strings does ("Listing Tags")."""
        with self._lock:
            return sorted(repository.tags)

    def referrers(self, repository: Repository, digest: str) -> list[StoredManifest]:
        """Its manifests with that subject, sorted by digest ("Listing Referrers")."""
        with self._lock:
            found = [each for each in repository.manifests.values() if each.subject == digest]
        return sorted(found, key=lambda each: each.digest)

    def open(self, digest: str, size: int) -> StoredContent | None:
        """The content of that digest; raises OSError if it has not that many bytes any more.

        Its length has been promised by then to whoever looked it up.
        """
        content = self._contents.open(digest)
        if content is not None and content.length == size:
            return content
        self._forget_lost(digest, size)
        if content is not None:
            content.close()
            raise OSError(errno.EIO, f"stored with {size} bytes, damaged since", digest)
        return None

    def has(self, digest: str, size: int) -> bool:
        """Whether the content of that digest is there as a whole, and not only in the index."""
        if self._contents.has(digest, size):
            return True
        self._forget_lost(digest, size)
        return False

    def add_upload(self, upload: Upload, digest: str) -> None:
        """Make an upload a blob of its repository. Its digest must have been checked."""
        with self._lock:
            size = upload.size
            upload.partial.keep(digest)
            self._add(digest, [("blob", upload.repository, digest, size)])

    def add_manifest(
        self,
        name: str,
        reference: str,
        manifest: StoredManifest,
        content: bytes,
        tags: Iterable[str],
        *,
        condition: Condition,
    ) -> None:
        """Store a manifest and point tags at it, all or nothing.

        The condition is on what is at `reference`.
        """
        partial = self._contents.begin(f"manifest-{threading.get_ident()}")
        try:
            with partial.appending() as write:
                write(memoryview(content))
            with self._lock:
                condition(self._present(name, reference))
                partial.keep(manifest.digest)
                events: list[Event] = [("manifest", name, manifest.to_json())]
                events += [("tag", name, tag, manifest.digest) for tag in tags]
                self._add(manifest.digest, events)
        except BaseException:
            partial.discard()
            raise

    def mount(
        self, name: str, digest: str, source: str | None, may_pull: Callable[[str], bool] | None
    ) -> bool:
        """Add a blob of another repository; False if it has it not.

        With `source` None it is any that `may_pull` lets be read, or any at all without that. A
        source that it does not let be read has nothing.
        """
        with self._lock:
            size = self._find_size(digest, source, may_pull)
            if size is not None and not self._contents.has(digest, size):
                self._forget(digest)
                size = None
            if size is not None:
                self._change([("blob", name, digest, size)])
        return size is not None

    def remove_blob(self, name: str, digest: str, condition: Condition) -> bool:
        """Take a blob out of a repository; False if it is not in it."""
        with self._lock:
            repository = self.repository(name)
            if repository is None or digest not in repository.blobs:
                return False
            condition(digest)
            self._remove(digest, ("no-blob", name, digest))
            return True

    def remove_manifest(self, name: str, digest: str, condition: Condition) -> bool:
        """Take a manifest and the tags that point to it out of a repository."""
        with self._lock:
            repository = self.repository(name)
            if repository is None or digest not in repository.manifests:
                return False
            condition(digest)
            self._remove(digest, ("no-manifest", name, digest))
            return True

    def remove_tag(self, name: str, tag: str, condition: Condition) -> bool:
        """Take a tag away; the manifest stays."""
        with self._lock:
            repository = self.repository(name)
            if repository is None or tag not in repository.tags:
                return False
            condition(repository.tags[tag])
            self._commit([("no-tag", name, tag)])
            return True

    def _present(self, name: str, reference: str) -> str | None:
        repository = self.repository(name)
        found = None if repository is None else repository.find(reference)
        return None if found is None else found.digest

    def _forget_lost(self, digest: str, size: int) -> None:
        with self._lock:
            if not self._contents.has(digest, size):  # nor was it pushed again since
                self._forget(digest)

    def _forget(self, digest: str) -> None:
        """Take what somebody deleted from the disk out of the index, so that it is pushed again.

        Raises OSError where all of the storage is away: it may come back, as a mount does.
        """
        self._journal.check_place()
        events = self._index.losing(digest)
        with contextlib.suppress(OSError):  # a full disk: it is found to be missing once more
            if events:
                self._commit(events)

    def _find_size(
        self, digest: str, source: str | None, may_pull: Callable[[str], bool] | None
    ) -> int | None:
        repositories = self._index.repositories
        if source is not None:
            if may_pull is not None and not may_pull(source):
                return None
            named = repositories.get(source)
            return None if named is None else named.blobs.get(digest)
        for name, repository in repositories.items():
            if digest in repository.blobs and (may_pull is None or may_pull(name)):
                return repository.blobs[digest]
        return None

    def _add(self, digest: str, events: Sequence[Event]) -> None:
        try:
            self._change(events)
        except OSError:
            self._drop_unheld(digest)
            raise

    def _remove(self, digest: str, event: Event) -> None:
        self._commit([event])
        self._drop_unheld(digest)

    def _change(self, events: Sequence[Event]) -> None:
        """Commit what is not so already: a journal does not grow by what is pushed again."""
        if any(not self._index.knows(event) for event in events):
            self._commit(events)

    def _commit(self, events: Sequence[Event]) -> None:
        self._journal.record(events)
        for event in events:
            self._index.apply(event)

    def _drop_unheld(self, digest: str) -> None:
        if not self._index.holds(digest):
            self._contents.remove(digest)


def open_store(directory: str | os.PathLike[str] | None, upload_timeout: float) -> Store:
    """The store in a directory, with what it held when it was closed; in memory for None.

    Raises StateError if another server uses the directory, or if it is no store of ours.
    """
    index = Index()
    if directory is None:
        return Store(MemoryContents(), NoJournal(), index, upload_timeout)
    path = os.path.abspath(directory)  # whoever serves from a thread may change its directory
    os.makedirs(path, mode=0o700, exist_ok=True)
    journal = FileJournal(path)
    try:
        journal.replay(index)
        contents = DiskContents(path)
        contents.retain(index.digests)
    except BaseException:
        journal.close()
        raise
    return Store(contents, journal, index, upload_timeout)
