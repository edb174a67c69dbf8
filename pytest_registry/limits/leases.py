"""What Redis is asked: leases on slots, and who is woken. Redis is imported when it is needed."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pytest_registry.errors import OptionError, StateError
from pytest_registry.limits.policy import Kind
from pytest_registry.limits.script import SCRIPT
from pytest_registry.oci.reference import split_address
from pytest_registry.options import LONGEST_LEASE

Role = Literal["waiting", "held", "gone"]

ANSWER_TIMEOUT = 1.0
"""Seconds in which Redis must answer, or it counts as out of reach for the moment."""


LOGIN = "check PYTEST_REGISTRY_LIMITS_URL's user and password, and that they may run scripts"
MISTRUST = (
    "name in PYTEST_REGISTRY_LIMITS_URL the file of the authority that made its certificate, and"
    " the host that the certificate is for: rediss://HOST:PORT?ssl_ca_certs=FILE"
)

BEATS = 4
"""Renewals within one lease: three may fail."""


_PASSING = re.compile(r"\b(BUSY|OOM|MISCONF|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|READONLY)\b")
"""Words of Redis' that the redis package has no exception for, at least not out of a script."""


def clock() -> float:
    """Seconds on a clock that also runs while the machine is suspended, where there is one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class NoRedis(Exception):
    """Redis did not answer; the text says which one and why, without a password."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of one claim: `came` is its place in the queue, empty before it has one."""

    role: Role
    id: str
    came: str
    line: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What Redis says: the limit that counts, and each entry's state and place.

    `event` are the seconds after which something happens by the clock alone; `closed` those in
    which nobody is let in, because Redis may have forgotten leases that still run.
    """

    limit: int
    event: float
    closed: float
    states: tuple[tuple[str, str], ...]


class Leases:
    """The leases of one registry (`HOST[:PORT]`) in the Redis at `url`. Safe between threads.

    `lease` is how many seconds this process's own last, at most LONGEST_LEASE. `longest` is how
    long anybody's may: where Redis forgot, nobody is let in before.
    """

    def __init__(self, url: str, registry: str, lease: float) -> None:
        """Connect nothing yet; raises OptionError, also where the redis package is missing."""
        if not 0 < lease <= LONGEST_LEASE:
            raise OptionError(
                f"hold a slot for {lease:g} s after its last renewal",
                f"a lease takes more than 0 and at most {LONGEST_LEASE:g} s",
                "give another --registry-limits-lease",
                section="no-redis",
            )
        _check(url)
        self.lease = lease
        self.longest = LONGEST_LEASE
        self._commands = _client(url, ANSWER_TIMEOUT)
        self._url = url
        self._patience = lease / BEATS + ANSWER_TIMEOUT
        self._base = f"pytest-registry:{{{registry}}}:"
        self._script = self._commands.register_script(SCRIPT)
        self._blocking = threading.local()
        self._is_secure = urlsplit(url).scheme == "rediss"
        self.where = f"Redis at {_where(url)}"

    def tell(
        self, kind: Kind, limit: int, entries: Sequence[Entry], *, ask: bool = False
    ) -> Answer:
        """Renew, queue and release; `ask`: for the first entry, whose process needs no waking.

        Raises NoRedis, and StateError where Redis answers and refuses.
        """
        words = [word for each in entries for word in (each.role, each.id, each.came, each.line)]
        said = self._run(kind, "ask" if ask else "tell", limit, words)
        limit_now, event, closed, *states = said
        pairs = zip(states[::2], states[1::2], strict=True)
        return Answer(
            int(limit_now),
            max(0, int(event)) / 1000,
            max(0, int(closed)) / 1000,
            tuple(pairs),
        )

    def holders(self, kind: Kind) -> list[str]:
        """The lines of those who hold slots; raises NoRedis, StateError."""
        return self._run(kind, "look", 1, [])

    def next_woken(self, agent: str, seconds: float) -> str | None:
        """Block until a claim of this process was given a slot, or so long.

        Raises NoRedis, StateError.
        """
        client = self._blocker()
        try:
            found = client.blpop(self._wakes + agent, timeout=max(0.01, seconds))
        except _failures() as error:
            raise self._trouble(error) from error
        return None if found is None else str(found[1])

    def close(self) -> None:
        """End the connections."""
        self._commands.close()

    @property
    def _wakes(self) -> str:
        return f"{self._base}wake:"

    def _run(self, kind: Kind, command: str, limit: int, words: Sequence[str]) -> list[str]:
        names = ("config", "held", "queue", "alive", "who", "terms")
        keys = [f"{self._base}epoch", *(f"{self._base}{kind}:{name}" for name in names)]
        times = [round(seconds * 1000) for seconds in (self.lease, self.longest)]
        arguments = [command, self._wakes, limit, *times, *words]
        try:
            answer: list[str] = self._script(keys=keys, args=arguments)
        except _failures() as error:
            raise self._trouble(error) from error
        return answer

    def _blocker(self) -> Any:
        """A connection of this thread's own, on which it may wait."""
        if not hasattr(self._blocking, "client"):
            self._blocking.client = _client(self._url, self._patience)
        return self._blocking.client

    def _trouble(self, error: Exception) -> NoRedis | StateError:
        """What to raise: a Redis that answers and refuses will go on doing so."""
        if self._is_secure and _is_mistrust(error):
            return self._refused(error, MISTRUST)
        if _is_refusal(error):
            return self._refused(error)
        why = str(error).partition("\n")[0] or type(error).__name__
        how = "takes nothing now" if _is_passing(error) else "does not answer"
        return NoRedis(f"{self.where} {how} ({why})")

    def _refused(self, error: Exception, remedy: str = LOGIN) -> StateError:
        return StateError(
            f"keep the limits in {self.where}", str(error), remedy, section="no-redis"
        )


def _check(url: str) -> None:
    """See that the address is whole; raises OptionError without a word of it."""
    try:
        parts = split_address(url)
        whole = "@" not in f"{parts.path}{parts.query}{parts.fragment}"
    except ValueError:
        whole = False
    if not whole:
        raise OptionError(
            "keep the limits in Redis",
            "its address cannot be taken apart",
            "percent-encode / # ? @ [ ] in its password, and give a port up to 65535",
            section="no-redis",
        )


def _client(url: str, timeout: float) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise OptionError(
            f"keep the limits in Redis at {_where(url)}",
            "the redis package is not installed",
            "install pytest-registry[redis], or leave --registry-limits-url out",
            section="no-redis",
        ) from None
    try:
        client = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=ANSWER_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        # What it thinks of the address it tells when it makes a connection, before connecting.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (TypeError, ValueError, redis.RedisError) as error:
        raise OptionError(
            f"keep the limits in Redis at {_where(url)}",
            f"the redis package does not take the address: {error}",
            "write it as redis.Redis.from_url() takes it",
            section="no-redis",
        ) from error
    return client


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return (RedisError, OSError)


def _is_refusal(error: Exception) -> bool:
    """Whether Redis answered and will not, for more than the time of its start or fail-over."""
    from redis import exceptions

    refusals = (
        exceptions.AuthenticationError,
        exceptions.AuthorizationError,
        exceptions.ResponseError,
    )
    return isinstance(error, refusals) and not _is_passing(error)


def _is_passing(error: Exception) -> bool:
    """Whether Redis answered that it cannot now: it follows another one, or lacks room or peers.

    Somebody sees to that, or a fail-over does; meanwhile waiting goes on and says so.
    """
    from redis import exceptions

    passing = (
        exceptions.ReadOnlyError,
        exceptions.MasterDownError,
        exceptions.ClusterDownError,
        exceptions.TryAgainError,
        exceptions.BusyLoadingError,
        exceptions.OutOfMemoryError,
    )
    return isinstance(error, passing) or _PASSING.search(str(error)) is not None


def _is_mistrust(error: BaseException | None) -> bool:
    """Whether a connection failed for a certificate, or for lack of the file to judge it by."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError | FileNotFoundError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _where(url: str) -> str:
    """Host and port, or the socket's path; never user or password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return parts.netloc.rpartition("@")[2] or "localhost"
