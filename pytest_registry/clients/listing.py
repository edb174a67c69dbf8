"""Lists that come in pages: tags, repositories (and the pages of referrers)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode, urljoin

from pytest_registry.clients.challenge import repository_scope
from pytest_registry.clients.headers import next_link
from pytest_registry.clients.http import Answer
from pytest_registry.clients.session import Request, Session
from pytest_registry.errors import ProtocolError

MAX_PAGE = 32 << 20
"""Bytes of one page that are read at most."""


def pages(
    session: Session, request: Request, query: Mapping[str, str]
) -> Iterator[tuple[Answer, bytes]]:
    """Each page of a list, following `Link: <...>; rel="next"`.

    Raises ProtocolError where a link leads to another server or to a page already read.
    """
    path = request.target
    target: str | None = f"{path}?{urlencode(query)}" if query else path
    seen: set[str] = set()
    while target is not None:
        if target in seen or not session.is_own(target):
            raise ProtocolError(request.asked, "its Link header leads in a circle or elsewhere")
        seen.add(target)
        answer, content = session.fetch(replace(request, target=target), MAX_PAGE)
        yield answer, content
        link = next_link(answer.headers("Link"))
        target = None if link is None else urljoin(answer.url, link)


def list_tags(session: Session, repository: str, page: int | None) -> list[str]:
    """Every tag of a repository, sorted, which not every registry does; raises ImageNotFound."""
    request = Request(
        f"list the tags of {session.host}/{repository}",
        "GET",
        f"/v2/{repository}/tags/list",
        (repository_scope(repository, "pull"),),
    )
    return _names(session, request, "tags", page)


def list_repositories(session: Session, page: int | None) -> list[str]:
    """Every repository that the registry's catalog shows to this account, sorted."""
    return _names(session, _catalog(session), "repositories", page)


def try_catalog(session: Session) -> None:
    """Ask for one repository of the catalog; raises ProtocolError where there is no catalog."""
    request = _catalog(session)
    _, content = session.fetch(replace(request, target=f"{request.target}?n=1"), MAX_PAGE)
    _member(content, "repositories", request.asked)


def _catalog(session: Session) -> Request:
    return Request(
        f"list the repositories of {session.host}",
        "GET",
        "/v2/_catalog",
        ("registry:catalog:*",),
        missing=False,
    )


def _names(session: Session, request: Request, member: str, page: int | None) -> list[str]:
    query = {} if page is None else {"n": str(page)}
    found: list[str] = []
    for _, content in pages(session, request, query):
        found.extend(_member(content, member, request.asked))
    return sorted(found)


def _member(content: bytes, member: str, asked: str) -> list[str]:
    try:
        names = json.loads(content)[member]
        names = [] if names is None else names  # distribution says null for an empty list
    except (ValueError, KeyError, TypeError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        happened = f"the answer holds no list of {member}"
        raise ProtocolError(asked, happened, status=HTTPStatus.OK)
    return names
