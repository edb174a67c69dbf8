"""What reached the registry in a test: a list to filter, and assertions that explain themselves."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from pytest_registry.report.traffic import LoggedRequest

_SHOWN = 30
"""Requests that an explanation lists at most."""

_CLOCK_SECONDS = 0.01
"""How much earlier than told a client may seem to come back, by the clocks' grain."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


class Requests(Sequence[LoggedRequest]):
    """Requests in the order in which they ended.

    It is a sequence: `len(requests)`, `requests[-1].status`, `for request in requests`. `where`
    makes a shorter one. The assertions raise AssertionError with the requests that matter.
    """

    def __init__(self, requests: Iterable[LoggedRequest]) -> None:
        self._requests = tuple(requests)

    def __repr__(self) -> str:
        return f"<{self._counted()}>"

    def __str__(self) -> str:
        return "\n".join(self.lines()) or "no requests"

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self._requests)

    @overload
    def __getitem__(self, index: int) -> LoggedRequest: ...

    @overload
    def __getitem__(self, index: slice) -> Requests: ...

    def __getitem__(self, index: int | slice) -> LoggedRequest | Requests:
        found = self._requests[index]
        return Requests(found) if isinstance(found, tuple) else found

    def where(
        self,
        on: str = "",
        *,
        repository: str = "",
        reference: str = "",
        status: int | None = None,
        account: str | None = None,
        worker: str | None = None,
        matching: Callable[[LoggedRequest], bool] | None = None,
    ) -> Requests:
        """Those that match all that is given.

        `on` is a method, a route or both, such as `"GET blob"`; `repository` and `reference` are
        exact or have `*`; `matching` is a function of one's own.
        """
        words = frozenset(on.split())
        methods, routes = words & _METHODS, words - _METHODS
        return Requests(
            each
            for each in self._requests
            if (not methods or each.method in methods)
            and (not routes or each.route in routes)
            and (not repository or fnmatch.fnmatchcase(each.repository, repository))
            and (not reference or fnmatch.fnmatchcase(each.reference, reference))
            and (status is None or each.status == status)
            and (account is None or each.account == account)
            and (worker is None or each.worker == worker)
            and (matching is None or matching(each))
        )

    @property
    def statuses(self) -> list[int]:
        """The statuses, 0 for no answer."""
        return [each.status for each in self._requests]

    @property
    def bytes_in(self) -> int:
        """Bytes of all bodies that clients sent."""
        return sum(each.bytes_in for each in self._requests)

    @property
    def bytes_out(self) -> int:
        """Bytes of all bodies that clients were sent."""
        return sum(each.bytes_out for each in self._requests)

    @property
    def throttled(self) -> Requests:
        """Those that a throttle of ours refused."""
        return self.where(matching=lambda each: each.throttled)

    @property
    def faulty(self) -> Requests:
        """Those that met a fault of ours."""
        return self.where(matching=lambda each: bool(each.fault) and not each.throttled)

    def lines(self, most: int | None = None) -> list[str]:
        """One line for each, with the seconds since the first; the last `most` of them."""
        shown = self._requests if most is None else self._requests[-most:]
        begin = min((each.started for each in self._requests), default=0.0)
        left_out = len(self._requests) - len(shown)
        lines = [f"{each.started - begin:8.3f} s  {each.describe()}" for each in shown]
        return [f"({left_out} earlier ones are not shown)", *lines] if left_out else lines

    def assert_pulled_once(self, repository: str, reference: str = "") -> None:
        """Assert that an image was pulled, and none of its config and layers more than once.

        `reference` is a tag or digest whose manifest must be among what was fetched. Manifests may
        be read as often as one likes.
        """
        fetched = self.where("GET", repository=repository, matching=_is_whole)
        what = f"{repository}:{reference}" if reference else repository
        if not fetched.where("manifest", reference=reference):
            self._fail(f"{what} was not pulled: no manifest of it was fetched", repository)
        again = _more_than_once(each.reference for each in fetched.where("blob"))
        if again:
            self._fail(f"{what} was not pulled exactly once: {again}", repository)

    def assert_no_layer_uploaded_twice(self) -> None:
        """Assert that no blob's content was sent more than once, to whichever repositories."""
        uploads = self.where("upload", status=201, matching=lambda each: not each.mounted_from)
        again = _more_than_once(each.digest for each in uploads if each.digest)
        if again:
            self._fail(f"a blob was uploaded more than once: {again}", "", "upload")

    def assert_head_before_put(self, repository: str = "") -> None:
        """Assert that before each upload the client looked whether the blob was there already."""
        looked: set[tuple[str, str]] = set()
        for each in self.where(repository=repository):
            if each.method == "HEAD" and each.route == "blob":
                looked.add((each.repository, each.reference))
            sent = each.route == "upload" and each.digest and not each.mounted_from
            if sent and each.status == _CREATED and (each.repository, each.digest) not in looked:
                self._fail(
                    f"{each.repository} was sent {each.digest} without a HEAD before it",
                    each.repository,
                )

    def assert_mounted_from(self, source: str, repository: str = "") -> None:
        """Assert that a blob was mounted from the repository `source`, and not sent again."""
        mounts = self.where(repository=repository, matching=lambda each: bool(each.mounted_from))
        if source in {each.mounted_from for each in mounts}:
            return
        others = sorted({each.mounted_from for each in mounts})
        instead = f"only from {', '.join(others)}" if others else "nor from anywhere else"
        self._fail(f"nothing was mounted from {source}, {instead}", repository, "POST upload")

    def assert_backed_off(self) -> None:
        """Assert that whoever was told when to come back did not come back sooner.

        That is, with the same request; a client that gave up did not come back too soon. Fails
        where nobody was told, for then nothing was shown.
        """
        told = self.where(matching=lambda each: each.retry_after is not None)
        if not told:
            self._fail("no request was answered with Retry-After", "")
        for refused in told:
            back = self._next_try(refused)
            wait = refused.retry_after or 0.0
            if back is not None and back.started < refused.ended + wait - _CLOCK_SECONDS:
                came = max(0.0, back.started - refused.ended)
                self._fail(
                    f"{refused.method} {refused.path} was answered {refused.status} with"
                    f" Retry-After {wait:g} s, and came back after {came:.2f} s",
                    refused.repository,
                )

    def _next_try(self, refused: LoggedRequest) -> LoggedRequest | None:
        """The same request by the same client, sent after it was refused."""
        later = (
            each
            for each in self._requests
            if each.started >= refused.ended
            and (each.method, each.path, each.account, each.user_agent)
            == (refused.method, refused.path, refused.account, refused.user_agent)
        )
        return min(later, key=lambda each: each.started, default=None)

    def _fail(self, why: str, repository: str, on: str = "") -> None:
        """Raise AssertionError with the requests that matter, or all if none does."""
        about = self.where(on, repository=repository) or self
        listed = "\n".join(f"  {line}" for line in about.lines(_SHOWN)) or "  none"
        raise AssertionError(f"{why}\nwhat reached the registry in this test:\n{listed}")

    def _counted(self) -> str:
        return f"{len(self)} request{'' if len(self) == 1 else 's'}"


_CREATED = 201


def _is_whole(request: LoggedRequest) -> bool:
    """Whether the client was given content, or was sent to where it is."""
    return request.status in (200, 307)


def _more_than_once(names: Iterable[str]) -> str:
    """What is there more than once, in words; empty if nothing is."""
    counts = Counter(names)
    return ", ".join(f"{name} {count} times" for name, count in counts.items() if count > 1)
