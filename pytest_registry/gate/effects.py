"""What faults do to a request and its answer, in the process that serves the registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from pytest_registry.gate.answers import refusal
from pytest_registry.gate.bodies import Corrupt, Cut, Slow, SlowBody, content_of
from pytest_registry.gate.fault import BEFORE, MIDDLE, Fault
from pytest_registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from pytest_registry.server import NO_ANSWER, Content, End, Proceed, Request, Response

OTHER_DIGEST = "sha256:" + "0" * 64
NOT_ACCEPTED = "OCI manifest found, but accept header does not support OCI manifests"
_OCI = (OCI_MANIFEST, OCI_INDEX)
_READ = 256 * 1024


@dataclass(frozen=True, slots=True)
class Means:
    """What effects need of the registry.

    `challenge` answers a request as if it had no login; `hand_out` gives the URL at which another
    host answers what `proceed` would, as long as the fault of that name is in force, which
    `take_back` ends.
    """

    challenge: Callable[[Request], Response]
    hand_out: Callable[[str, Request, Proceed], str]
    take_back: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Meeting:
    """A fault, the name that it is in force by, and the request that it meets.

    `happens` is called as soon as the fault is sure to be carried out.
    """

    name: str
    fault: Fault
    means: Means
    request: Request
    proceed: Proceed
    happens: Callable[[], None]

    def answer(self) -> Response:
        """What the registry answers."""
        return self.proceed(self.request)


def carry_out(met: Meeting) -> Response:
    """The answer to a request that the fault has been decided to meet."""
    fault, change = met.fault, _CHANGES.get(met.fault.effect)
    slows = fault.delay > 0 or fault.bandwidth is not None
    if slows or change is None:
        met.happens()  # now: whoever waits no longer for the answer has met it too
    if fault.delay:
        time.sleep(fault.delay)
    if fault.bandwidth is not None:
        met.request.body = SlowBody(met.request.body, fault.bandwidth)
    response = _ENDS[fault.effect](met) if change is None else met.answer()
    if change is not None and response.status != NO_ANSWER:
        before, response = response, change(fault, response)
        if response is not before and not slows:
            met.happens()
    if fault.bandwidth is not None and response.length:
        return response._replace(body=Slow(content_of(response.body), fault.bandwidth))
    return response


def accepts_oci(request: Request) -> bool:
    """Whether the client names the OCI manifests' types; `*/*` is not enough for registries."""
    accepted = request.header("accept") or ""
    return any(each in accepted for each in _OCI)


# What ends a request: nothing that was in force before comes to it any more ---------------------


def _status(met: Meeting) -> Response:
    status = met.fault.status or 0
    headers = dict(met.fault.headers)
    if met.fault.retry_after is not None:
        headers["Retry-After"] = str(met.fault.retry_after)
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {**_challenge_headers(met), **headers}
    detail = "a fault of this test"
    return refusal(status, met.fault.answer, headers=headers, body=met.fault.body, detail=detail)


def _expire_token(met: Meeting) -> Response:
    headers = dict(_challenge_headers(met))
    challenge = headers.get("WWW-Authenticate", "")
    if challenge.lower().startswith("bearer") and "error=" not in challenge:
        headers["WWW-Authenticate"] = f'{challenge},error="invalid_token"'
    return refusal(HTTPStatus.UNAUTHORIZED, "spec", headers=headers, detail="the token expired")


def _reset(met: Meeting) -> Response:
    if met.fault.reset == BEFORE:
        return Response(NO_ANSWER, end=End.RESET)
    if met.request.method != "GET":
        _read_part(met.request, met.fault.reset)
        return Response(NO_ANSWER, end=End.RESET)
    response = met.answer()
    return _ending(_cut(response, met.fault.reset, End.RESET), End.RESET)


def _redirect(met: Meeting) -> Response:
    if isinstance(met.fault.redirect, str):
        parts = urlsplit(met.fault.redirect)
        url = parts._replace(path=parts.path.rstrip("/") + met.request.path).geturl()
    else:
        url = met.means.hand_out(met.name, met.request, met.proceed)
    return Response(HTTPStatus.TEMPORARY_REDIRECT, {"Location": url})


# What changes an answer: the same one where there is nothing to change --------------------------


def _truncate(fault: Fault, response: Response) -> Response:
    return _cut(response, fault.truncate, End.CLOSE)


def _corrupt(_: Fault, response: Response) -> Response:
    if not response.length:
        return response
    return response._replace(body=Corrupt(content_of(response.body)))


def _content_length(fault: Fault, response: Response) -> Response:
    told = int(response.headers.get("Content-Length", response.length))
    wrong = max(0, told + (fault.content_length or 0))
    if wrong == told:
        return response
    return _ending(response.with_({"Content-Length": str(wrong)}), End.CLOSE)


def _wrong_digest(_: Fault, response: Response) -> Response:
    if "docker-content-digest" not in map(str.lower, response.headers):
        return response
    others = {
        name: each
        for name, each in response.headers.items()
        if name.lower() != "docker-content-digest"
    }
    return response._replace(headers=others | {"Docker-Content-Digest": OTHER_DIGEST})


def _require_oci_accept(_: Fault, response: Response) -> Response:
    if response.headers.get("Content-Type") not in _OCI:
        return response
    response.close()
    text = f'{{"errors":[{{"code":"MANIFEST_UNKNOWN","message":"{NOT_ACCEPTED}"}}]}}'
    return refusal(HTTPStatus.NOT_FOUND, "spec", body=text)


_ENDS: Mapping[str, Callable[[Meeting], Response]] = {
    "": Meeting.answer,
    "status": _status,
    "reset": _reset,
    "expire_token": _expire_token,
    "redirect": _redirect,
}
_CHANGES: Mapping[str, Callable[[Fault, Response], Response]] = {
    "truncate": _truncate,
    "corrupt": _corrupt,
    "content_length": _content_length,
    "wrong_digest": _wrong_digest,
    "require_oci_accept": _require_oci_accept,
}
CARRIED_OUT = ({*_ENDS} | {*_CHANGES}) - {""}
"""The effects that are known here; a test compares them with those that a fault can have."""


def _challenge_headers(met: Meeting) -> dict[str, str]:
    """The header with which the registry asks for a login."""
    headers = met.means.challenge(met.request).headers
    return {name: value for name, value in headers.items() if name.lower() == "www-authenticate"}


def _cut(response: Response, place: str | int | None, end: End) -> Response:
    """A response of which only a part comes; the same if it has no more than that."""
    body: Content = content_of(response.body)
    count = body.length // 2 if place == MIDDLE else int(place or 0)
    if count >= body.length:
        return response
    headers = {"Content-Length": str(body.length), **response.headers}
    return _ending(response._replace(headers=headers, body=Cut(body, count)), end)


def _ending(response: Response, end: End) -> Response:
    """A response after which the connection ends, unless it ends worse already."""
    return response if response.end is End.RESET else response._replace(end=end)


def _read_part(request: Request, place: str | int | None) -> None:
    """Take some of what the client sends, all of it if it is no more."""
    length = request.body.length
    left = (length or 2 * _READ) // 2 if place == MIDDLE else int(place or 0)
    buffer = memoryview(bytearray(min(_READ, max(left, 1))))
    while left > 0 and (count := request.body.read_into(buffer[:left])):
        left -= count
