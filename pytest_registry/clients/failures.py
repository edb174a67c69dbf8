"""From an answer that says no to the error that the reader gets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from pytest_registry.clients.headers import retry_after
from pytest_registry.clients.http import Answer, NoAnswer
from pytest_registry.errors import (
    AuthenticationFailed,
    ImageNotFound,
    ProtocolError,
    RateLimited,
    TransferError,
)
from pytest_registry.security.credentials import redacted

MAX_BODY = 256 << 10
"""Bytes of an error's body that are read; some services send whole pages."""

MAX_TEXT = 300
"""Characters of a server's own words that a message quotes."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a registry's error body says (distribution-spec, "Error Codes")."""

    codes: tuple[str, ...]
    text: str


def read_refusal(answer: Answer) -> Refusal:
    """The codes and words of an error body, which may be of any format, or cut off."""
    try:
        body = answer.read(MAX_BODY)
    except (NoAnswer, ValueError):
        return Refusal((), "")
    return parse_refusal(body)


def parse_refusal(body: bytes) -> Refusal:
    """Read an error body; one that is not the specification's JSON is quoted as it is."""
    plain = " ".join(body.decode("utf-8", "replace").split())
    try:
        errors = json.loads(body)["errors"]
        entries = [entry for entry in errors if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Refusal((), plain[:MAX_TEXT])
    codes = tuple(code for entry in entries if isinstance(code := entry.get("code"), str))
    words = (f"{entry.get('code')}: {entry.get('message') or 'no message'}" for entry in entries)
    return Refusal(codes, "; ".join(words)[:MAX_TEXT])


def failure(
    asked: str, answer: Answer, *, missing: bool, secrets: Iterable[str] = ()
) -> TransferError | AuthenticationFailed:
    """The error for an answer whose status was not expected.

    `missing`: whether a 404 means that what was asked for is not there.
    """
    refusal = read_refusal(answer)
    happened = _happened(answer, redacted(refusal.text, tuple(filter(None, secrets))))
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        remedy = "check the user name and password, and that the account has the right to do this"
        return AuthenticationFailed(asked, happened, remedy)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return rate_limited(asked, happened, retry_after(answer.header("Retry-After")))
    if answer.status == HTTPStatus.NOT_FOUND and missing:
        remedy = "check the repository's name and the tag or digest"
        return ImageNotFound(asked, happened, remedy)
    return ProtocolError(asked, happened, status=answer.status, codes=refusal.codes)


def rate_limited(asked: str, happened: str, seconds: float | None) -> RateLimited:
    """The error when waiting any longer for a registry's limit makes no sense."""
    remedy = "run fewer operations at once, log in, or use a mirror"
    if seconds is not None:
        remedy = f"try again after {seconds:g} s; {remedy}"
    return RateLimited(asked, happened, remedy, retry_after=seconds)


def no_answer(asked: str, error: NoAnswer) -> TransferError:
    """The error where no answer came at all."""
    if error.sent:
        remedy = error.remedy or "look at the registry's log; it may have been stopped"
        return ProtocolError(asked, error.happened, remedy, section="transfer-failed")
    return TransferError(asked, error.happened, error.remedy)


def _happened(answer: Answer, words: str) -> str:
    parts = urlsplit(answer.url)  # without the query: signed addresses are secrets
    host = parts.netloc.rpartition("@")[2]
    said = f": {words}" if words else ""
    return f"{host}{parts.path} answered {_status(answer.status)}{said}"


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
