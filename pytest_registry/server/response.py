"""What a handler returns. It knows nothing of sockets; `connection.py` writes it."""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    import socket


class Content(Protocol):
    """Bytes that are sent block by block, so that a layer of any size needs constant memory."""

    @property
    def length(self) -> int:
        """How many bytes `blocks` will give in all."""

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The bytes, in order. A block is valid until the next one is taken."""

    def close(self) -> None:
        """Release what is held open. Called exactly once, also when sending broke off."""


SendTo = Callable[["socket.socket"], Iterator[int]]
"""A content that has a method `send_to` like this goes to an unencrypted socket by itself, so that
the kernel need not show it to us. It gives the size of each part before that part is sent."""


class End(Enum):
    """What becomes of the connection after a response. Only faults ask for more than KEEP."""

    KEEP = "kept, if the client and the request allow it"
    CLOSE = "closed, in order"
    RESET = "reset: what the client has not read yet is lost to it"


NO_ANSWER = 0
"""The status of a response of which nothing is sent, not even its head."""


_NO_HEADERS: Mapping[str, str] = {}


class Response(NamedTuple):
    """A status, headers and a body: bytes, or `Content` that is streamed.

    `Content-Length` is made from the body unless it is among the headers, as it is in answers to
    HEAD ("Checking if content exists in the registry"). Where that header is a lie, or the body
    breaks off, `end` must not be KEEP: the next answer would be taken for the rest of this one.
    """

    status: int
    headers: Mapping[str, str] = _NO_HEADERS
    body: bytes | Content = b""
    end: End = End.KEEP

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.length

    def with_(self, headers: Mapping[str, str]) -> Self:
        """The same response with more headers."""
        return self._replace(headers={**self.headers, **headers}) if headers else self

    def close(self) -> None:
        """Release a streamed body."""
        if not isinstance(self.body, bytes):
            self.body.close()


def content_headers(digest: str, size: int, media_type: str) -> dict[str, str]:
    """What GET and HEAD of content tell about it ("Pulling manifests", "Pulling blobs").

    The digest is the strongest entity tag there is (RFC 9110, section 8.8.3).
    """
    return {
        "Content-Type": media_type,
        "Content-Length": str(size),
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
    }
