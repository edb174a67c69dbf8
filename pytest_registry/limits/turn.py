"""One operation's turn at the limits: waiting, holding, giving back, recording."""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pytest_registry.errors import RegistryError, SlotTimeout
from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.lane import Lane
from pytest_registry.limits.policy import KINDS, Kind, LimitPolicy
from pytest_registry.limits.slots import Claim, Event, Holder, Slots
from pytest_registry.limits.waiting import Patience, pause, pause_async, turns
from pytest_registry.report.records import OperationRecord, Outcome, append

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf an operation runs: an xdist worker's id and a test's node id."""

    worker: str
    test: str


def current_asker() -> Asker:
    """What pytest and xdist say in the environment; `controller` where there is no worker."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]  # ends in " (call)"
    return Asker(os.environ.get("PYTEST_XDIST_WORKER", "controller"), test)


@dataclass(frozen=True, slots=True)
class Setting:
    """What every turn at one registry's limits needs to know.

    `narrow` holds the lanes that let fewer through than the registry's own limits do.
    """

    slots: Slots
    policy: LimitPolicy
    who: Callable[[], Asker]
    log: Path | None
    report: Callable[[str], None] | None
    descriptors: Descriptors
    narrow: tuple[tuple[Kind, Lane], ...] = ()

    def narrowed(self, policy: LimitPolicy) -> Setting:
        """The same with one more lane for each limit of `policy`."""
        counts = [(kind, policy.of(kind)) for kind in KINDS]
        lanes = [(kind, Lane(count, self.descriptors)) for kind, count in counts if count]
        return replace(self, narrow=(*self.narrow, *lanes))

    def effective(self, kind: Kind) -> int | None:
        """The smallest limit that applies to a kind."""
        counts = [lane.count for narrow, lane in self.narrow if narrow == kind]
        shared = self.policy.of(kind)
        return min([*counts, shared] if shared is not None else counts, default=None)

    def claims(self, kind: Kind, holder: Holder) -> Iterator[Claim]:
        """What an operation needs, in the order of taking: a shared slot last, not to idle."""
        for narrow, lane in self.narrow:
            if narrow == kind:
                yield lane.claim(holder)
        count = self.policy.of(kind)
        if count is not None:
            yield self.slots.claim(kind, count, holder)


class RunningOperation:
    """One pull or push while it runs (the protocol `policy.Operation`).

    A call inside it of the same kind is a part of it (`whole` is set) and has no slot of its own.
    Parts that asyncio tasks or threads run at once share the slot one after the other, in `parts`:
    so there are never more than the limit, and nobody waits for a slot that he holds himself.
    """

    def __init__(self, kind: Kind, setting: Setting, whole: RunningOperation | None) -> None:
        self.kind = kind
        self.scope = setting.slots.scope
        self.limited = setting.effective(kind) is not None
        self.parts = Lane(1, setting.descriptors)
        self.waited = 0.0
        self.bytes = 0
        self.active = False
        self.whole = whole

    def transferred(self, count: int) -> None:
        """Add `count` bytes to what the operation moved."""
        self.bytes += count
        if self.whole is not None:
            self.whole.transferred(count)

    @property
    def is_ours(self) -> bool:
        """Whether it runs, and in this process: a forked child has none of its parent's slots."""
        return self.active and self.parts.is_ours

    @property
    def rank(self) -> tuple[int, str]:
        """Its place in the one order in which slots are taken."""
        return KINDS.index(self.kind), self.scope


_running: ContextVar[tuple[RunningOperation, ...]] = ContextVar("running_operations", default=())
"""What this thread or task is inside of, the outermost first. Ended ones are passed over."""


class Turn:
    """Enter it to wait for the slot, leave it to give the slot back: `with` or `async with`.

    Good for one use; as a decorator each call is a turn of its own.
    """

    def __init__(
        self, setting: Setting, kind: Kind, repository: str = "", reference: str = ""
    ) -> None:
        self._setting = setting
        self._kind: Kind = kind
        self._repository = repository
        self._reference = reference
        self._asker = Asker("", "")
        self._operation: RunningOperation | None = None
        self._claims: list[Claim] = []
        self._began = 0.0
        self._began_monotonic = 0.0

    def __enter__(self) -> RunningOperation:
        self._check_unused()
        try:
            for event in self._steps():
                pause(event)
            return self._hold()
        except BaseException as error:
            self._give_up(error)
            raise

    async def __aenter__(self) -> RunningOperation:
        self._check_unused()
        try:
            for event in self._steps():
                await pause_async(event)
            return self._hold()
        except BaseException as error:
            self._give_up(error)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._end(error)
        finally:
            self._give_back()  # for an interrupt in the middle of it

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._end(error)
        finally:
            self._give_back()  # for an interrupt in the middle of it

    def __call__(self, function: Function) -> Function:
        """Wrap a function or a coroutine function: each call takes a turn."""
        again = functools.partial(
            Turn, self._setting, self._kind, self._repository, self._reference
        )

        async def in_turn_async(*args: Any, **kwargs: Any) -> Any:
            async with again():
                return await function(*args, **kwargs)

        def in_turn(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        chosen = in_turn_async if inspect.iscoroutinefunction(function) else in_turn
        return functools.wraps(function)(chosen)  # type: ignore[return-value]

    def _check_unused(self) -> None:
        if self._operation is not None:
            raise RuntimeError("a turn is good for one use: call limits.pull() or push() again")

    def _steps(self) -> Iterator[Event]:
        """Everything until all slots are held, with pauses to be made by whoever iterates."""
        running = [operation for operation in _running.get() if operation.is_ours]
        operation = RunningOperation(self._kind, self._setting, None)
        for outer in running:
            if outer.rank == operation.rank:
                operation.whole = outer
        if operation.whole is None:
            _check_order(operation, running)
        self._operation = operation
        self._asker = self._setting.who()
        patience = Patience(self._what, self._setting.policy.timeout, self._setting.report)
        for claim in self._needed(operation):
            self._claims.append(claim)  # before the first attempt, so that `_give_up` knows it
            for event in turns(claim, patience):
                yield event
                operation.waited = patience.waited

    def _needed(self, operation: RunningOperation) -> Iterator[Claim]:
        now = time.time()
        holder = Holder(
            self._asker.worker, self._asker.test, self._kind, self._repository, now, os.getpid()
        )
        if operation.whole is not None:
            return iter([operation.whole.parts.claim(holder)])
        return self._setting.claims(self._kind, holder)

    def _hold(self) -> RunningOperation:
        operation = self._entered()
        _running.set((*_running.get(), operation))
        self._began, self._began_monotonic = time.time(), time.monotonic()
        operation.active = True
        return operation

    def _entered(self) -> RunningOperation:
        if self._operation is None:
            raise RuntimeError("the turn was never entered")
        return self._operation

    def _end(self, error: BaseException | None) -> None:
        operation = self._entered()
        duration = time.monotonic() - self._began_monotonic
        recorded = operation.is_ours and operation.whole is None
        self._release(operation)
        if recorded:
            self._record(operation, duration, "done" if error is None else "failed", error)

    def _give_up(self, error: BaseException) -> None:
        operation = self._operation
        if operation is None:
            return
        self._release(operation)
        self._began = time.time()
        if operation.whole is None and isinstance(error, SlotTimeout):
            self._record(operation, 0.0, "timeout", error)
        elif operation.whole is None and not isinstance(error, Exception):
            self._record(operation, 0.0, "interrupted", error)

    def _release(self, operation: RunningOperation) -> None:
        operation.active = False
        _running.set(tuple(running for running in _running.get() if running.active))
        self._give_back()

    def _give_back(self) -> None:
        while self._claims:
            self._claims[-1].release()
            self._claims.pop()

    def _record(
        self,
        operation: RunningOperation,
        duration: float,
        outcome: Outcome,
        error: BaseException | None,
    ) -> None:
        if self._setting.log is None:
            return
        record = OperationRecord(
            kind=self._kind,
            repository=self._repository,
            reference=self._reference,
            start=self._began - operation.waited,
            waited=operation.waited,
            duration=duration,
            transferred=operation.bytes,
            worker=self._asker.worker,
            test=self._asker.test,
            outcome=outcome,
            error="" if error is None else _told(error),
        )
        append(self._setting.log, record)

    def _what(self) -> str:
        count = self._setting.effective(self._kind)
        of = f" for {self._repository}" if self._repository else ""
        return f"a {self._kind} slot{of} (limit {count})"


def _check_order(operation: RunningOperation, running: list[RunningOperation]) -> None:
    """Raise RegistryError if slots are taken in another order than everybody else's."""
    for outer in running:
        if outer.limited and operation.limited and outer.rank > operation.rank:
            raise RegistryError(
                f"take a {operation.kind} slot inside of a {outer.kind}",
                "slots are taken in one order everywhere (pull before push, then by registry);"
                " two operations that hold what the other one wants would wait for ever",
                "take both at the beginning: with limits.pull(...), limits.push(...):",
            )


def _told(error: BaseException) -> str:
    """What the log says of an error; a foreign error's text may hold a command with a password."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, RegistryError) else name
