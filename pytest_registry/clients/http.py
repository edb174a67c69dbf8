"""One HTTP exchange over urllib3: connections, proxies, TLS, and bodies in blocks of 1 MiB."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from pytest_registry.clients.forks import begin_anew_in_children, leave_alone

if TYPE_CHECKING:
    import ssl

    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

BLOCK = 1 << 20
"""Bytes that are read or sent at once."""

MAX_REST = 64 << 10
"""Bytes of an unread answer that are drained to keep its connection; more ends the connection."""

CONNECTIONS = 16
"""Kept connections per host; more may be open at once."""


class NoAnswer(Exception):
    """No HTTP answer came. `sent` tells whether the server may have seen the request.

    `late`: it was waited for as long as one waits.
    """

    def __init__(self, happened: str, remedy: str = "", *, sent: bool, late: bool = False) -> None:
        super().__init__(happened, remedy, sent, late)
        self.happened = happened
        self.remedy = remedy
        self.sent = sent
        self.late = late


@dataclass(frozen=True, slots=True)
class Body:
    """What a request sends: its length in bytes and how to begin reading it (again)."""

    size: int
    blocks: Callable[[], Iterable[bytes]]

    @classmethod
    def of(cls, content: bytes) -> Body:
        """A body that is in memory."""
        return cls(len(content), lambda: (content,) if content else ())


class Answer:
    """An HTTP answer whose body is still on the wire: read it or close it."""

    def __init__(self, url: str, response: BaseHTTPResponse) -> None:
        self.url = url
        self.status = response.status
        self.is_late = False
        """Whether it is a 404 after a try whose answer was lost: that one may have deleted."""
        self._response = response

    def header(self, name: str) -> str | None:
        """The value of a header; several are joined by commas."""
        return self._response.headers.get(name)

    def headers(self, name: str) -> list[str]:
        """Every value of a header that may come several times."""
        return list(self._response.headers.getlist(name))

    def resolve(self, location: str) -> str:
        """A header's address as an absolute one."""
        return urljoin(self.url, location)

    def read(self, limit: int) -> bytes:
        """The whole body, which must not pass `limit` bytes; raises NoAnswer, ValueError."""
        content = bytearray()
        try:
            for block in self.blocks():
                content += block
                if len(content) > limit:
                    raise ValueError(f"the answer is larger than {limit} bytes")
        finally:
            self.close()
        return bytes(content)

    def blocks(self) -> Iterator[bytes]:
        """The body in blocks, as it came (never unpacked); raises NoAnswer where it breaks off."""
        from urllib3.exceptions import HTTPError

        try:
            yield from self._response.stream(BLOCK, decode_content=False)
        except (HTTPError, OSError) as error:
            raise NoAnswer(f"the answer broke off ({reason(error)})", sent=True) from error

    def close(self) -> None:
        """Give the connection back, or end it where much of the body is unread."""
        from urllib3.exceptions import HTTPError

        length = self._response.length_remaining
        if length is not None and length <= MAX_REST:
            try:
                self._response.drain_conn()
            except (HTTPError, OSError):
                self._response.close()
        else:
            self._response.close()
        self._response.release_conn()


class Transport:
    """Sends single requests; follows nothing, repeats nothing. Safe to share between threads.

    `timeout` is in seconds, for connecting and for each read. The client certificate is shown to
    `own_host` only; `ca_file` is trusted in addition to the system's authorities.
    """

    def __init__(
        self,
        own_host: str,
        *,
        ca_file: Path | None = None,
        client_cert: tuple[Path, Path] | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._own_host = own_host
        self._ca_file = ca_file
        self._client_cert = client_cert
        self._timeout = timeout
        self._pools: dict[tuple[bool, bool, str | None], PoolManager] = {}
        self._lock = threading.Lock()
        begin_anew_in_children(self)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        """One request, one answer; raises NoAnswer."""
        from urllib3.exceptions import HTTPError

        sent = dict(headers)
        if body is not None:
            sent["Content-Length"] = str(body.size)
        elif method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = "0"
        try:
            response = self._pool(urlsplit(url)).urlopen(
                method,
                url,
                body=None if body is None or body.size == 0 else iter(body.blocks()),
                headers=sent,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError) as error:
            raise _no_answer(url, error) from error
        return Answer(url, response)

    def after_fork(self) -> None:
        """Have connections of this process's own."""
        leave_alone(self._pools)
        self._pools = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End every kept connection. The transport may be used again afterwards."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.clear()

    def _pool(self, url: SplitResult) -> PoolManager:
        secure = url.scheme == "https"
        own = url.hostname == self._own_host
        key = (secure, own, proxy_for(url))
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._new_pool(*key)
            return self._pools[key]

    def _new_pool(self, secure: bool, own: bool, proxy: str | None) -> PoolManager:
        from urllib3 import PoolManager, ProxyManager, Timeout, make_headers

        kept: dict[str, Any] = {
            "maxsize": CONNECTIONS,
            "timeout": Timeout(connect=self._timeout, read=self._timeout),
            "blocksize": BLOCK,
        }
        if secure:
            kept["ssl_context"] = self._tls(own)
        if proxy is None:
            return PoolManager(**kept)
        parts = urlsplit(proxy)
        login = None
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=login), **kept)

    def _tls(self, own: bool) -> ssl.SSLContext:
        import ssl

        context = ssl.create_default_context()
        # urllib3 sets this anew at each connection, while other threads use the context to connect:
        # they then send bytes of freed memory, or crash (cpython issue 141012).
        context.set_alpn_protocols(["http/1.1"])
        context.set_alpn_protocols = _is_set_already  # type: ignore[method-assign]
        try:
            if self._ca_file is not None:
                context.load_verify_locations(cafile=self._ca_file)
            if own and self._client_cert is not None:
                certificate, key = self._client_cert
                context.load_cert_chain(certificate, key)
        except OSError as error:  # ssl.SSLError is one, too
            happened = f"the certificates cannot be read: {reason(error)}"
            remedy = "give PEM files as ca_file and client_cert"
            raise NoAnswer(happened, remedy, sent=False) from error
        return context


def _is_set_already(alpn_protocols: Iterable[str]) -> None:
    """Stands for `SSLContext.set_alpn_protocols` once that has been called."""


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine by name or by address."""
    if not host:
        return False
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(url: SplitResult) -> str | None:
    """The proxy that the environment names for `url`; never one for a loopback host."""
    from urllib.request import getproxies, proxy_bypass

    host = url.hostname or ""
    if is_loopback(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def reason(error: BaseException) -> str:
    """The innermost cause of a connection's failure, in a few words."""
    seen = {id(error)}
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None or id(inner) in seen:
            break
        seen.add(id(inner))
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)


def _broke_off(error: Exception) -> bool:
    """Whether a connection over TLS ended, and nothing was wrong with TLS."""
    import ssl

    return any(isinstance(each, ssl.SSLEOFError) for each in (error.__cause__, *error.args))


def _no_answer(url: str, error: Exception) -> NoAnswer:
    from urllib3.exceptions import (
        ConnectTimeoutError,
        NewConnectionError,
        ProxyError,
        ReadTimeoutError,
        SSLError,
    )

    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if isinstance(error, ReadTimeoutError):
        return NoAnswer(f"{where} did not answer in time ({reason(error)})", sent=True, late=True)
    if isinstance(error, SSLError) and not _broke_off(error):
        remedy = "check that the address speaks TLS and that ca_file names the CA that signed it"
        return NoAnswer(f"TLS with {where} failed: {reason(error)}", remedy, sent=False)
    if isinstance(error, ProxyError):
        remedy = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment"
        return NoAnswer(f"the proxy for {where} failed: {reason(error)}", remedy, sent=False)
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        remedy = "check that the registry runs and listens at that address, and the scheme"
        return NoAnswer(f"no connection to {where}: {reason(error)}", remedy, sent=False)
    return NoAnswer(f"{where} ended the connection without an answer: {reason(error)}", sent=True)
