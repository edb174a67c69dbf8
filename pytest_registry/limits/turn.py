"""One operation's turn at the limits: waiting, holding, giving back, recording."""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pytest_registry.errors import RegistryError, SlotLost, SlotTimeout, StateError
from pytest_registry.limits.descriptors import Descriptors
from pytest_registry.limits.lane import Lane
from pytest_registry.limits.policy import KINDS, Kind, LimitPolicy
from pytest_registry.limits.running import Asker, RunningOperation, put_inside, running
from pytest_registry.limits.slots import Claim, Event, Holder, Slots
from pytest_registry.limits.waiting import Patience, pause, pause_async, turns
from pytest_registry.report.records import OperationRecord, Outcome, append

Function = TypeVar("Function", bound=Callable[..., Any])


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

    def operation(self, kind: Kind) -> RunningOperation:
        """An operation that is to run."""
        limited = self.effective(kind) is not None
        return RunningOperation(kind, self.slots.scope, limited, Lane(1, self.descriptors))

    def claims(self, kind: Kind, holder: Holder) -> Sequence[Claim]:
        """What an operation needs, in the order of taking: a shared slot last, not to idle."""
        lanes = [lane.claim(holder) for narrow, lane in self.narrow if narrow == kind]
        count = self.policy.of(kind)
        return lanes if count is None else [*lanes, self.slots.claim(kind, count, holder)]


class Turn:
    """Enter it to wait for the slot, leave it to give the slot back: `with` or `async with`.

    Good for one use; as a decorator each call is a turn of its own. What it holds is given back
    twice, for an interrupt in the middle of the first time. One that keeps `__exit__` from being
    begun leaves it held until the process ends, as with every context that is written in Python.
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
            try:
                self._give_up(error)
            finally:
                self._release()
            raise

    async def __aenter__(self) -> RunningOperation:
        self._check_unused()
        try:
            for event in self._steps():
                await pause_async(event)
            return self._hold()
        except BaseException as error:
            try:
                self._give_up(error)
            finally:
                self._release()
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._end(error)
        finally:
            self._release()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)

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
        self._operation = operation = self._setting.operation(self._kind)
        put_inside(operation)
        self._asker = self._setting.who()
        patience = Patience(self._what, self._setting.policy.timeout, self._setting.report)
        for claim in self._needed(operation):
            self._claims.append(claim)  # before the first attempt, so that `_give_up` knows it
            try:
                for event in turns(claim, patience):
                    yield event
                    operation.waited = patience.waited
            except SlotTimeout:
                operation.waited = patience.waited
                raise

    def _needed(self, operation: RunningOperation) -> Sequence[Claim]:
        now = time.time()
        holder = Holder(
            self._asker.worker, self._asker.test, self._kind, self._repository, now, os.getpid()
        )
        if operation.whole is not None:
            return [operation.whole.parts.claim(holder)]
        return self._setting.claims(self._kind, holder)

    def _hold(self) -> RunningOperation:
        operation = self._entered()
        for outer in running.get():  # waiting here may have taken longer than its lease lasts
            if outer.is_ours:
                outer.check()
        running.set((*running.get(), operation))
        self._began, self._began_monotonic = time.time(), time.monotonic()
        operation.claims = tuple(self._claims)
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
        lost = _lost(operation) if error is None else None
        self._release()
        if recorded:
            failed = lost or error
            self._record(operation, duration, "done" if failed is None else "failed", failed)
        if lost is not None:
            raise lost

    def _give_up(self, error: BaseException) -> None:
        operation = self._operation
        if operation is None:
            return
        self._release()
        self._began = time.time()
        if operation.whole is None and isinstance(error, SlotTimeout):
            self._record(operation, 0.0, "timeout", error)
        elif operation.whole is None and not isinstance(error, Exception):
            self._record(operation, 0.0, "interrupted", error)

    def _release(self) -> None:
        if self._operation is not None:
            self._operation.active = False
        running.set(tuple(each for each in running.get() if each.active))
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
        """Append to the log; raises StateError, unless it would take the place of `error`."""
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
        try:
            append(self._setting.log, record)
        except StateError:
            if error is None:
                raise

    def _what(self) -> str:
        count = self._setting.effective(self._kind)
        of = f" for {self._repository}" if self._repository else ""
        return f"a {self._kind} slot{of} (limit {count})"


def _lost(operation: RunningOperation) -> SlotLost | None:
    """The error if the operation had no right to its slot any more, in the process that held it."""
    try:
        if operation.is_ours:
            operation.check()
    except SlotLost as error:
        return error
    return None


def _told(error: BaseException) -> str:
    """What the log says of an error; a foreign error's text may hold a command with a password."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, RegistryError) else name
