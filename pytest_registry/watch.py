"""What a test says to the registry's gate, and reads of it: faults, throttling, the request log."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from pytest_registry.errors import RegistryEnded, Unsupported

if TYPE_CHECKING:
    from pytest_registry.engines.endpoint import Endpoint
    from pytest_registry.gate.fault import Fault, Scope
    from pytest_registry.gate.remote import ActiveFault, RemoteGate
    from pytest_registry.gate.throttle import Throttle
    from pytest_registry.report.requests import Requests
    from pytest_registry.report.traffic import LoggedRequest


LATE = 1.0
"""Seconds within which a request is written down after its end."""

_logs: set[Path] = set()
"""The logs of requests of the registries that this process knows."""


def _sizes() -> dict[Path, int]:
    return {log: _size(log) for log in tuple(_logs)}


def _size(log: Path) -> int:
    """The bytes in a log; 0 where it is not there yet, or not any more."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


@dataclass(slots=True)
class Current:
    """The test that runs now in this process: since when (epoch), in which namespace.

    `worker` is its xdist worker, empty in a run without workers. `logged` is how long each log of
    requests was when it began, or when the log's registry became known in it: the time alone does
    not tell what came later, as the clock may be set back.
    """

    worker: str = ""
    started: float = field(default_factory=time.time)
    namespace: str = ""
    logged: dict[Path, int] = field(default_factory=_sizes)


class Watch:
    """One registry's gate as one process of the run sees it.

    `current` tells of the test that runs now; `limits` are the run's, for pulls and for pushes.
    `endpoint` is with the run's own account.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        current: Callable[[], Current],
        limits: tuple[int | None, int | None],
        find_end: Callable[[str], RegistryEnded | None],
    ) -> None:
        self._endpoint = endpoint
        self._current = current
        self._limits = limits
        self._find_end = find_end
        self._log = Path(endpoint.request_log) if endpoint.request_log else None
        if self._log is not None:
            _logs.add(self._log)
            current().logged.setdefault(self._log, _size(self._log))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may show: of the run's account, and the key of its gate."""
        key = self._endpoint.gate_key
        return (*self._endpoint.credentials.secrets, *([key] if key else []))

    @property
    def is_possible(self) -> bool:
        """Whether a gate of ours stands before the registry."""
        return self._log is not None

    @contextlib.contextmanager
    def faults(self, faults: tuple[Fault, ...], everywhere: bool) -> Iterator[list[ActiveFault]]:
        """Have faults while the context lasts; raises Unsupported."""
        gate, scope = self._gate("make requests fail"), self._scope(everywhere)
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(gate.fault(self._placed(f), scope)) for f in faults]

    @contextlib.contextmanager
    def fault(self, fault: Fault, everywhere: bool) -> Iterator[ActiveFault]:
        """Have one fault while the context lasts; raises Unsupported."""
        with self.faults((fault,), everywhere) as active:
            yield active[0]

    @contextlib.contextmanager
    def throttle(
        self, preset: str | Throttle | None, changes: dict[str, Any], everywhere: bool
    ) -> Iterator[Throttle]:
        """Throttle while the context lasts; raises Unsupported, OptionError."""
        from pytest_registry.gate.throttle import throttle_of

        pull, push = self._limits
        throttle = throttle_of(preset, pull_limit=pull, push_limit=push, **changes)
        with self._gate("throttle clients").throttle(throttle, self._scope(everywhere)):
            yield throttle

    def requests(self) -> Requests:
        """What reached the registry in the test that runs now; raises Unsupported."""
        from pytest_registry.report.requests import Requests

        if self._log is None:
            raise self._unsupported("tell what reached the registry")
        scope = self._scope(everywhere=False)
        return Requests(
            self._shown(each)
            for each in _since_the_test_began(self._log, self._current())
            if scope.holds(each.account, each.repository)
        )

    def _gate(self, asked: str) -> RemoteGate:
        from pytest_registry.gate.remote import Reach, RemoteGate

        if not self.is_possible:
            raise self._unsupported(asked)
        endpoint = self._endpoint
        return RemoteGate(
            Reach(endpoint.host, endpoint.gate_key, endpoint.tls_context, self._find_end)
        )

    def _scope(self, everywhere: bool) -> Scope:
        """The requests of the test that runs now."""
        from pytest_registry.gate.fault import Scope

        current = self._current()
        if everywhere or not current.worker:
            return Scope()
        namespace = current.namespace and self._below_prefix(current.namespace)
        return Scope(worker_account(self._endpoint, current.worker), namespace)

    def _placed(self, fault: Fault) -> Fault:
        if not fault.repository or not self._endpoint.prefix:
            return fault
        return dataclasses.replace(fault, repository=self._below_prefix(fault.repository))

    def _below_prefix(self, repository: str) -> str:
        prefix = self._endpoint.prefix
        return f"{prefix}/{repository}" if prefix else repository

    def _shown(self, request: LoggedRequest) -> LoggedRequest:
        """A request as the test knows it, without the run's prefix."""
        prefix = f"{self._endpoint.prefix}/"
        if not self._endpoint.prefix:
            return request
        return dataclasses.replace(
            request,
            repository=request.repository.removeprefix(prefix),
            mounted_from=request.mounted_from.removeprefix(prefix),
        )

    def _unsupported(self, asked: str) -> Unsupported:
        return Unsupported(
            f"{asked} with the {self._endpoint.engine} registry",
            "its requests do not pass through anything of ours",
            "use --registry-engine=embedded, or put the gateway before it with --registry-gateway",
        )


def _since_the_test_began(log: Path, test: Current) -> Iterator[LoggedRequest]:
    """The requests of every worker, but for those that were under way when the test began.

    One that was written down since, and ended before by its own account, came after the clock was
    set back.
    """
    from pytest_registry.report.traffic import read_from

    for _, each in read_from(log, _next_line(log, test.logged.get(log, 0))):
        if each.started >= test.started or each.ended < test.started - LATE:
            yield each


def _next_line(log: Path, size: int) -> int:
    """Where the next line began when a log had `size` bytes: one may have been half written."""
    if size == 0 or _size(log) < size:  # another log stands there now
        return 0
    with log.open("rb") as file:
        file.seek(size - 1)
        return size - 1 + len(file.readline())


def worker_account(endpoint: Endpoint, worker: str) -> str:
    """The name of the account that a worker has of its own where a gate tells workers apart."""
    return f"{endpoint.credentials.username}-{worker}"


class Watched:
    """The half of the registry's handle that makes it fail, and sees what clients do about it."""

    _watch: Watch

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may show: of the run's account, and the key of its gate."""
        return self._watch.secrets

    @property
    def requests(self) -> Requests:
        """What reached the registry in this test so far, to filter and to assert on.

        Under xdist these are the requests by this worker's account and those to the test's
        `registry_namespace`. Raises Unsupported where neither the embedded engine serves the
        registry nor the gateway stands before it.
        """
        return self._watch.requests()

    @overload
    def faults(
        self, on: str = "", *, everywhere: bool = False, **one: Any
    ) -> contextlib.AbstractContextManager[ActiveFault]: ...

    @overload
    def faults(
        self, first: Fault, /, *more: Fault, everywhere: bool = False
    ) -> contextlib.AbstractContextManager[list[ActiveFault]]: ...

    def faults(
        self, *faults: Any, everywhere: bool = False, **one: Any
    ) -> contextlib.AbstractContextManager[Any]:
        """Let requests fail while the context lasts.

        `with registry.faults("GET blob", nth=2, status=503) as fault:` and then `fault.hits`; the
        keywords are those of `Fault`. `registry.faults(Fault(...), Fault(...))` has several
        and gives a list. They meet this test's requests only (see `requests`) unless `everywhere`.
        Where several are due, the latest decides first, and those that only slow down add to it.
        Raises OptionError, Unsupported.
        """
        from pytest_registry.gate.fault import fault_of

        if faults and not one and not isinstance(faults[0], str):
            return self._watch.faults(tuple(map(fault_of, faults)), everywhere)
        return self._watch.fault(fault_of(*faults, **one), everywhere)

    @contextlib.contextmanager
    def throttle(
        self, preset: str | Throttle | None = None, *, everywhere: bool = False, **changes: Any
    ) -> Iterator[Throttle]:
        """Answer 429 to one request too many while the context lasts.

        `registry.throttle("azure-basic")`, `registry.throttle("strict")` (the run's own limits),
        `registry.throttle(read=5, retry_after=False)`; the keywords are those of `Throttle`, and
        change the preset. It counts this test's requests only (see `requests`) unless
        `everywhere`. Raises OptionError, Unsupported.
        """
        with self._watch.throttle(preset, changes, everywhere) as throttle:
            yield throttle
