"""What reached the registry in a test: a list to filter, and assertions that explain themselves."""

from __future__ import annotations

import fnmatch
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NoReturn, overload

from pytest_registry.report.retries import came_too_soon
from pytest_registry.report.selector import Selector, refused
from pytest_registry.report.traffic import LoggedRequest

_SHOWN = 30
"""Requests that an explanation lists at most."""

_AROUND = 2
"""Requests that are shown before and after one that an assertion failed on."""


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
        exact or have `*`; `status` is a number, 0 for no answer; `matching` is a function of one's
        own. Raises OptionError for what no request can be.
        """
        selector = Selector.parse(on, "what requests are on")
        _check(
            {"repository": repository, "reference": reference, "status": status}
            | {"account": account, "worker": worker, "matching": matching}
        )
        return Requests(
            each
            for each in self._requests
            if selector.holds(each.method, each.route)
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
        be read as often as one likes. A GET counts that was answered with the content (200), even
        if the answer broke off, or with where it is (301, 302, 303, 307, 308); one for a part of it
        (206) does not, so that a client may resume.
        """
        __tracebackhide__ = True
        fetched = self.where("GET", repository=repository, matching=_is_whole)
        what = f"{repository}:{reference}" if reference else repository
        about = self.where(repository=repository)
        if not fetched.where("manifest", reference=reference):
            self._fail(f"{what} was not pulled: no manifest of it was fetched", (), about)
        blobs = fetched.where("blob")
        again = _more_than_once(each.reference for each in blobs)
        if again:
            twice = [each for each in blobs if each.reference in again]
            self._fail(f"{what} was not pulled exactly once: {_told(again)}", twice, about)

    def assert_no_layer_uploaded_twice(self) -> None:
        """Assert that no blob's content was sent more than once, to whichever repositories.

        An upload counts if it succeeded, and also if it failed after content had reached the
        registry. Content counts for the digest that a PUT or POST said it has: what was sent to an
        upload that never got so far is not known to be of any blob. A mount sends nothing.
        """
        __tracebackhide__ = True
        uploads = self.where("upload")
        sent = _sent(uploads)
        again = _more_than_once(each.digest for each in sent)
        if again:
            twice = [each for each in sent if each.digest in again]
            self._fail(f"a blob was uploaded more than once: {_told(again)}", twice, uploads)

    def assert_head_before_put(self, repository: str = "") -> None:
        """Assert that before each upload the client looked whether the blob was there already."""
        __tracebackhide__ = True
        looked: set[tuple[str, str]] = set()
        for each in self.where(repository=repository):
            if each.method == "HEAD" and each.route == "blob":
                looked.add((each.repository, each.reference))
            sent = each.route == "upload" and each.digest and not each.mounted_from
            if sent and each.status == _CREATED and (each.repository, each.digest) not in looked:
                why = f"{each.repository} was sent {each.digest} without a HEAD before it"
                self._fail(why, (each,), self.where(repository=each.repository))

    def assert_mounted_from(self, source: str, repository: str = "") -> None:
        """Assert that a blob was mounted from the repository `source`, and not sent again."""
        __tracebackhide__ = True
        mounts = self.where(repository=repository, matching=lambda each: bool(each.mounted_from))
        if source in {each.mounted_from for each in mounts}:
            return
        others = sorted({each.mounted_from for each in mounts})
        instead = f"only from {', '.join(others)}" if others else "nor from anywhere else"
        about = self.where("POST upload", repository=repository)
        self._fail(f"nothing was mounted from {source}, {instead}", mounts, about)

    def assert_backed_off(self) -> None:
        """Assert that whoever was told when to come back did not come back sooner.

        That is, with the same method and path and by the same account, whatever its user agent;
        for an upload also with a new upload to that repository. Where several were refused at once,
        as many must come back in time. A client that gave up did not come back too soon. Fails
        where nobody was told, for then nothing was shown.
        """
        __tracebackhide__ = True
        if not self.where(matching=lambda each: each.retry_after is not None):
            self._fail("no request was answered with Retry-After", (), self)
        early = came_too_soon(self)
        if early:
            concerned = {one.refused.repository for one in early}
            about = self.where(matching=lambda each: each.repository in concerned)
            self._fail(str(early[0]), [each for one in early for each in one], about)

    def _fail(self, why: str, guilty: Iterable[LoggedRequest], about: Requests) -> NoReturn:
        """Raise AssertionError with the guilty requests marked among those that it is about.

        Without any, these are the last of those that it is about, or of all if it is about none.
        """
        __tracebackhide__ = True
        lines = _marked(about or self, set(map(id, guilty))) if self else ["  none"]
        listed = "\n".join(lines)
        raise AssertionError(f"{why}\nwhat reached the registry in this test:\n{listed}")

    def _counted(self) -> str:
        return f"{len(self)} request{'' if len(self) == 1 else 's'}"


_CREATED = 201
_WITH_CONTENT = frozenset({200, 301, 302, 303, 307, 308})


def _check(given: Mapping[str, object]) -> None:
    """Raise OptionError for what no request can be: it would quietly find none."""
    for name, value in given.items():
        if not _FITS[name][0](value):
            raise refused(f"the {name} of requests", value, _FITS[name][1])


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_status(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return value is None
    return value == 0 or 100 <= value <= 599  # noqa: PLR2004


_FITS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "repository": (_is_text, "a text"),
    "reference": (_is_text, "a text: a tag or digest"),
    "status": (_is_status, "a number such as 503, or 0 for no answer"),
    "account": (_is_text_or_none, "a text"),
    "worker": (_is_text_or_none, "a text such as 'gw0'"),
    "matching": (lambda value: value is None or callable(value), "a function of a request"),
}


def _is_whole(request: LoggedRequest) -> bool:
    """Whether the client was given content, or was sent to where it is."""
    return request.status in _WITH_CONTENT


def _sent(uploads: Iterable[LoggedRequest]) -> list[LoggedRequest]:
    """The requests that ended the sending of a blob's content, with whatever success."""
    in_parts = {each.path for each in uploads if each.method == "PATCH" and each.bytes_in}
    sent: dict[str, list[LoggedRequest]] = defaultdict(list)
    for each in uploads:
        if each.digest and not each.mounted_from:
            # A PUT without content that is tried again sends nothing again.
            is_first = each.path not in sent
            ends_it = each.status == _CREATED or each.path in in_parts
            if each.bytes_in or (is_first and ends_it):
                sent[each.path].append(each)
    return [each for of_one in sent.values() for each in of_one]


def _more_than_once(names: Iterable[str]) -> dict[str, int]:
    """What is there more than once, and how often."""
    return {name: count for name, count in Counter(names).items() if count > 1}


def _told(again: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count} times" for name, count in again.items())


def _marked(requests: Requests, guilty: set[int]) -> list[str]:
    """A line for each request that matters, the guilty ones marked, and how many are left out."""
    places = [place for place, each in enumerate(requests) if id(each) in guilty]
    if not places:
        return [f"  {line}" for line in requests.lines(_SHOWN)]
    near = {place + offset for place in places for offset in range(-_AROUND, _AROUND + 1)}
    shown = sorted(near & set(range(len(requests))))[:_SHOWN]
    told, lines, next_place = requests.lines(), list[str](), 0
    for place in shown:
        lines += _left_out(place - next_place)
        lines.append(f"{'> ' if place in places else '  '}{told[place]}")
        next_place = place + 1
    marked = sum(place >= next_place for place in places)
    return lines + _left_out(len(requests) - next_place, marked)


def _left_out(count: int, marked: int = 0) -> list[str]:
    of_them = f", {marked} of which are like those with >" if marked else ""
    return [f"  ({count} {'other' if count == 1 else 'others'}{of_them})"] if count else []
