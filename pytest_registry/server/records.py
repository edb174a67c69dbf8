"""What is told about a finished request: plain data, without secrets."""

from typing import NamedTuple


class RequestRecord(NamedTuple):
    """One finished request.

    `route` is a name of the route table, "" for a path that has none; `reference` is the tag,
    digest or upload id that the path names. `bytes_in` and `bytes_out` count the bodies only.
    `started` is Unix time; `seconds` runs from the request's head to the last block of the answer.
    `account` is None where nobody was asked or who asked was refused.

    It is told of before that last block is sent: whoever has an answer finds its record.
    """

    method: str
    route: str
    path: str
    repository: str
    reference: str
    status: int
    bytes_in: int
    bytes_out: int
    started: float
    seconds: float
    user_agent: str
    account: str | None
    client: str

    def line(self) -> str:
        """One line for an access log. The query is not in it, control characters are escaped."""
        path = ascii(self.path)[1:-1]
        agent = ascii(self.user_agent)[1:-1]
        return (
            f"{self.client} {self.method} {path} {self.status} in={self.bytes_in}"
            f" out={self.bytes_out} {self.seconds * 1000:.1f}ms {agent}"
        )
