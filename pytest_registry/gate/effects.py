"""What faults do to a request and its answer, in the process that serves the registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

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
    host answers what `proceed` would.
    """

    challenge: Callable[[Request], Response]
    hand_out: Callable[[Request, Proceed], str]


@dataclass(frozen=True, slots=True)
class Meeting:
    """A fault and the request that it meets."""

    fault: Fault
    means: Means
    request: Request
    proceed: Proceed

    def answer(self) -> Response:
        """What the registry answers."""
        return self.proceed(self.request)


def carry_out(fault: Fault, means: Means, request: Request, proceed: Proceed) -> Response:
    """The answer to a request that the fault has been decided to meet."""
    if fault.delay:
        time.sleep(fault.delay)
    if fault.bandwidth is not None:
        request.body = SlowBody(request.body, fault.bandwidth)
    response = _EFFECTS[fault.effect](Meeting(fault, means, request, proceed))
    if fault.bandwidth is not None and response.length:
        return response._replace(body=Slow(content_of(response.body), fault.bandwidth))
    return response


def accepts_oci(request: Request) -> bool:
    """Whether the client names the OCI manifests' types; `*/*` is not enough for registries."""
    accepted = request.header("accept") or ""
    return any(each in accepted for each in _OCI)


def _nothing(met: Meeting) -> Response:
    return met.answer()


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
    return _cut(met.answer(), met.fault.reset, End.RESET)


def _truncate(met: Meeting) -> Response:
    return _cut(met.answer(), met.fault.truncate, End.CLOSE)


def _corrupt(met: Meeting) -> Response:
    response = met.answer()
    return response._replace(body=Corrupt(content_of(response.body)))


def _content_length(met: Meeting) -> Response:
    response = met.answer()
    told = int(response.headers.get("Content-Length", response.length))
    wrong = str(max(0, told + (met.fault.content_length or 0)))
    return response.with_({"Content-Length": wrong})._replace(end=End.CLOSE)


def _wrong_digest(met: Meeting) -> Response:
    response = met.answer()
    return response.with_({"Docker-Content-Digest": OTHER_DIGEST})


def _redirect(met: Meeting) -> Response:
    if isinstance(met.fault.redirect, str):
        url = met.fault.redirect.rstrip("/") + met.request.path
    else:
        url = met.means.hand_out(met.request, met.proceed)
    return Response(HTTPStatus.TEMPORARY_REDIRECT, {"Location": url})


def _require_oci_accept(met: Meeting) -> Response:
    response = met.answer()
    if response.headers.get("Content-Type") not in _OCI:
        return response
    response.close()
    text = f'{{"errors":[{{"code":"MANIFEST_UNKNOWN","message":"{NOT_ACCEPTED}"}}]}}'
    return refusal(HTTPStatus.NOT_FOUND, "spec", body=text)


_EFFECTS: Mapping[str, Callable[[Meeting], Response]] = {
    "": _nothing,
    "status": _status,
    "reset": _reset,
    "truncate": _truncate,
    "corrupt": _corrupt,
    "content_length": _content_length,
    "wrong_digest": _wrong_digest,
    "expire_token": _expire_token,
    "redirect": _redirect,
    "require_oci_accept": _require_oci_accept,
}


def _challenge_headers(met: Meeting) -> dict[str, str]:
    """The header with which the registry asks for a login."""
    headers = met.means.challenge(met.request).headers
    return {name: value for name, value in headers.items() if name.lower() == "www-authenticate"}


def _cut(response: Response, place: str | int | None, end: End) -> Response:
    body: Content = content_of(response.body)
    count = body.length // 2 if place == MIDDLE else int(place or 0)
    headers = {"Content-Length": str(body.length), **response.headers}
    return response._replace(headers=headers, body=Cut(body, count), end=end)


def _read_part(request: Request, place: str | int | None) -> None:
    """Take some of what the client sends, all of it if it is no more."""
    length = request.body.length
    left = (length or 2 * _READ) // 2 if place == MIDDLE else int(place or 0)
    buffer = memoryview(bytearray(min(_READ, max(left, 1))))
    while left > 0 and (count := request.body.read_into(buffer[:left])):
        left -= count
