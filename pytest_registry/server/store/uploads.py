"""Upload sessions ("Pushing blobs"): what was received of a blob that is not whole yet."""

from __future__ import annotations

import os
import sys
import threading
import time

from pytest_registry.oci.names import algorithm_of
from pytest_registry.server.body import Body
from pytest_registry.server.store.contents import Contents, Partial, Write
from pytest_registry.server.store.hashing import Hashing, InTurn, hashing

SMALL = 1024 * 1024
"""Bytes of a body that are not worth a second thread."""


class Upload:
    """One session. `size` may be read at any time.

    Whoever calls its methods holds `turn`, for as long as a client sends. `life` is held for
    moments: to end the session, or to make it a blob, while it has not ended. So a session can be
    ended under a request that receives, which then meets its end with the next block.

    The content is hashed while it is received. The algorithm is the one that the client announced,
    or sha256; a digest of another one costs a second reading at the end.
    """

    def __init__(self, repository: str, algorithm: str, contents: Contents) -> None:
        self.id = random_uuid()
        self.repository = repository
        self.turn = threading.Lock()
        self.life = threading.Lock()
        self.resumable = False
        """Whether a PATCH began it: only then will its client ask how far it came."""
        self.ended = False
        self.touched = time.monotonic()
        self.partial: Partial = contents.begin(self.id)
        self._use(algorithm)

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.partial.size

    def expect(self, digest: str) -> None:
        """Hash with this digest's algorithm, if nothing was hashed yet."""
        if self.size == 0:
            self._use(algorithm_of(digest))

    def receive(self, body: Body) -> None:
        """Append the whole body, or what comes of it until the session is ended.

        Raises ApiError if the body breaks off and OSError on a full disk.
        """
        with self.partial.appending() as write:
            if self._receive(body, write, InTurn(self._hash), most=SMALL):
                with hashing(self._hash) as beside:
                    self._receive(body, write, beside)

    def _receive(self, body: Body, write: Write, hashed: Hashing, most: int = sys.maxsize) -> bool:
        """Append `most` bytes or, in whole blocks, a little more; whether others may follow."""
        taken = 0
        while taken < most:
            buffer = hashed.buffer()
            count = body.read_into(buffer)
            if not count or self.ended:
                return False
            write(buffer[:count])
            hashed.add(count)
            taken += count
            self.touched = time.monotonic()
        return True

    def digest(self, algorithm: str) -> str:
        """The digest of what was received."""
        if algorithm != self._algorithm:
            self._use(algorithm)
            for block in self.partial.blocks():
                self._hash.update(block)
        return f"{algorithm}:{self._hash.hexdigest()}"

    def _use(self, algorithm: str) -> None:
        import hashlib  # loads OpenSSL: 3 ms that a start can do without

        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm, usedforsecurity=False)


def random_uuid() -> str:
    """A random UUID (RFC 9562, section 5.4); the uuid module would add 3 ms to the start."""
    octets = bytearray(os.urandom(16))
    octets[6] = octets[6] & 0x0F | 0x40  # version 4
    octets[8] = octets[8] & 0x3F | 0x80  # variant
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Uploads:
    """The sessions that are open. Who uses one has those forgotten that nobody continues."""

    def __init__(self, contents: Contents, timeout: float) -> None:
        self._contents = contents
        self._timeout = timeout
        self._sessions: dict[str, Upload] = {}
        self._look_again = 0.0

    def start(self, repository: str, algorithm: str) -> Upload:
        """Open a session."""
        self._forget_stale()
        upload = Upload(repository, algorithm, self._contents)
        self._sessions[upload.id] = upload
        return upload

    def find(self, repository: str, identity: str) -> Upload | None:
        """The open session of that id, if it is of that repository."""
        self._forget_stale()
        upload = self._sessions.get(identity)
        return upload if upload is not None and upload.repository == repository else None

    def end(self, upload: Upload) -> None:
        """Close a session and leave nothing of it. May be repeated, and called at any time.

        Who has the session's turn then repeats it: a file may have been opened meanwhile.
        """
        with upload.life:
            upload.ended = True
            self._sessions.pop(upload.id, None)
            upload.partial.discard()

    def _forget_stale(self) -> None:
        # "the server SHOULD eventually timeout unfinished uploads" ("Cancel a blob upload")
        now = time.monotonic()
        if now < self._look_again:
            return
        self._look_again = now + self._timeout / 10
        for upload in list(self._sessions.values()):
            if upload.touched < now - self._timeout and upload.turn.acquire(blocking=False):
                try:
                    self.end(upload)
                finally:
                    upload.turn.release()
