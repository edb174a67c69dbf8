"""Requests to one registry: logged in, redirected, repeated where that is safe, errors told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

from pytest_registry.clients.challenge import parse_challenges
from pytest_registry.clients.failures import failure, no_answer
from pytest_registry.clients.forks import begin_anew_in_children
from pytest_registry.clients.headers import retry_after
from pytest_registry.clients.http import Answer, Body, NoAnswer, Transport, is_loopback
from pytest_registry.clients.retries import Pace, RetryPolicy
from pytest_registry.clients.tokens import Authorizer, Scopes
from pytest_registry.errors import OptionError, ProtocolError
from pytest_registry.oci.reference import DOCKER_HUB, normal_registry
from pytest_registry.security.credentials import Credentials

HUB_HOST = "registry-1.docker.io"
"""Where Docker Hub's API is; `docker.io` itself is a web site."""

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNSENT_BODY = frozenset({307, 308})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the specification's endpoints describe it.

    `asked` completes "could not ..." in errors; `target` is a path or an absolute URL; `expect`
    are the statuses that are no error; `repeat`: sending it twice does no harm; `missing`: a 404
    means that what was asked for is not there.
    """

    asked: str
    method: str
    target: str
    scopes: Scopes = ()
    headers: Mapping[str, str] | None = None
    body: Body | None = None
    expect: tuple[int, ...] = (HTTPStatus.OK,)
    repeat: bool = True
    missing: bool = True


class Session:
    """The way to one registry. Safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None,
        *,
        ca_file: Path | None,
        client_cert: tuple[Path, Path] | None,
        timeout: float,
        user_agent: str,
        retries: RetryPolicy | None,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self._origin = _origin(urlsplit(self.base_url))
        host = urlsplit(self.base_url).hostname or ""
        self._transport = Transport(host, ca_file=ca_file, client_cert=client_cert, timeout=timeout)
        self._user_agent = user_agent
        self.policy = retries or RetryPolicy()
        self.referrers_lock = threading.Lock()
        begin_anew_in_children(self)
        self._authorizer = Authorizer(self.base_url, credentials, self.exchange)

    def after_fork(self) -> None:
        """Have a lock of this process's own."""
        self.referrers_lock = threading.Lock()

    @property
    def host(self) -> str:
        """The registry's host and port, as references name it."""
        return normal_registry(urlsplit(self.base_url).netloc)

    def same_registry(self, other: Session) -> bool:
        """Whether both speak to the same registry."""
        return self._origin == other._origin

    def is_own(self, url: str) -> bool:
        """Whether `url` (absolute, or relative to the registry) is the registry's own."""
        return _origin(urlsplit(urljoin(self.base_url, url))) == self._origin

    def close(self) -> None:
        """End the kept connections."""
        self._transport.close()

    def send(self, request: Request) -> Answer:
        """The answer, of an expected status; the caller reads or closes it.

        Raises AuthenticationFailed, ImageNotFound, RateLimited, ProtocolError, TransferError.
        """
        answer = self._patiently(
            request.asked, lambda: self._authorized(request), repeat=request.repeat
        )
        if answer.status in request.expect or (answer.is_late and request.method == "DELETE"):
            return answer
        raise failure(
            request.asked, answer, missing=request.missing, secrets=self._authorizer.secrets
        )

    def fetch(self, request: Request, limit: int) -> tuple[Answer, bytes]:
        """The answer and its whole body of up to `limit` bytes; raises as `send`."""
        pace = Pace(self.policy)
        while True:
            answer = self.send(request)
            try:
                return answer, answer.read(limit)
            except NoAnswer as error:
                if not (request.repeat and pace.after_failure()):
                    raise no_answer(request.asked, error) from error
            except ValueError as error:
                raise ProtocolError(request.asked, str(error), status=answer.status) from None

    def order(self, request: Request) -> Answer:
        """Send and close: for answers of which only status and headers matter."""
        answer = self.send(request)
        answer.close()
        return answer

    def exchange(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, asked: str
    ) -> Answer:
        """One request with retries but without login: how token servers are asked."""
        return self._patiently(asked, lambda: self._follow(method, url, headers, body), repeat=True)

    def _patiently(self, asked: str, once: Callable[[], Answer], *, repeat: bool) -> Answer:
        pace = Pace(self.policy)
        lost = False
        while True:
            try:
                answer = once()
            except NoAnswer as error:
                if error.sent and not error.late and repeat and pace.after_failure():
                    lost = True
                    continue
                raise no_answer(asked, error) from error
            if not self._worth_another(answer, pace, repeat=repeat):
                answer.is_late = lost and answer.status == HTTPStatus.NOT_FOUND
                return answer
            answer.close()

    def _worth_another(self, answer: Answer, pace: Pace, *, repeat: bool) -> bool:
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            # Nothing was done, so that even what must not be done twice may be sent again.
            return pace.after_busy(retry_after(answer.header("Retry-After")))
        return answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and repeat and pace.after_failure()

    def _authorized(self, request: Request) -> Answer:
        url = urljoin(self.base_url, request.target)
        own = self.is_own(url)
        login = self._authorizer.header(request.scopes) if own else None
        answer = self._once(request, url, login)
        if answer.status != HTTPStatus.UNAUTHORIZED or not self.is_own(answer.url):
            return answer
        challenges = parse_challenges(answer.headers("WWW-Authenticate"))
        try:
            renewed = self._authorizer.answer(challenges, request.scopes, login)
        except BaseException:
            answer.close()
            raise
        if renewed is None:
            return answer
        answer.close()
        return self._once(request, url, renewed)

    def _once(self, request: Request, url: str, login: str | None) -> Answer:
        headers = dict(request.headers or {})
        if login is not None:
            headers["Authorization"] = login
        return self._follow(request.method, url, headers, request.body)

    def _follow(self, method: str, url: str, headers: dict[str, str], body: Body | None) -> Answer:
        """Send, following redirects; Authorization never crosses a host (distribution-spec, API).

        Another scheme or port counts as another host: the password shall not leave TLS.
        """
        sent = {"User-Agent": self._user_agent, **headers}
        for _ in range(MAX_REDIRECTS):
            answer = self._transport.send(method, url, sent, body)
            target = _redirect(method, answer)
            if target is None:
                return answer
            answer.close()
            if _origin(urlsplit(target)) != _origin(urlsplit(url)):
                sent.pop("Authorization", None)
            url = target
        raise NoAnswer(f"more than {MAX_REDIRECTS} redirects", sent=False)


def checked_base_url(url: str) -> str:
    """`SCHEME://HOST[:PORT]/` of a registry; Docker Hub's names become the host of its API.

    Raises OptionError for anything else, without repeating what may be a password.
    """
    remedy = "write http://HOST:PORT or https://HOST[:PORT], and give credentials= apart"
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise OptionError("reach a registry", "its address holds a user name", remedy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError("reach a registry", f"{url!r} is not a registry's address", remedy)
    if normal_registry(parts.netloc) == DOCKER_HUB:
        return f"https://{HUB_HOST}/"
    return f"{parts.scheme}://{parts.netloc}/"


def base_url_of(registry: str) -> str:
    """The address of a registry that a reference names: HTTPS, and HTTP on this machine alone.

    (The docker command, too, takes plain HTTP for loopback hosts only.)
    """
    host = urlsplit(f"//{registry}").hostname
    return f"{'http' if is_loopback(host) else 'https'}://{registry}"


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def _redirect(method: str, answer: Answer) -> str | None:
    location = answer.header("Location")
    if answer.status not in _REDIRECTS or not location:
        return None
    if method not in ("GET", "HEAD") and answer.status not in _UNSENT_BODY:
        return None
    target = urljoin(answer.url, location)
    return target if urlsplit(target).scheme in ("http", "https") else None
