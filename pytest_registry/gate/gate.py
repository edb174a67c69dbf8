"""The gate: sees every request before the registry does, and every answer before the client."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from pytest_registry.gate import control
from pytest_registry.gate.admission import Admission
from pytest_registry.gate.effects import Means, Meeting, carry_out
from pytest_registry.gate.in_force import FaultInForce, ThrottleInForce
from pytest_registry.gate.log import RequestLog
from pytest_registry.report.traffic import MAIN, THROTTLED
from pytest_registry.security.credentials import Credentials
from pytest_registry.server import Proceed, Request, RequestRecord, Response

_NO_NOTES: Mapping[str, Any] = {}
_TOLD_TO_WAIT = frozenset({429, 503})


class _Here(threading.local):
    """What a thread keeps of its request until that is observed: notes, and how it is left.

    `note` is None for what is not written down.
    """

    note: Mapping[str, Any] | None = _NO_NOTES
    leave: Callable[[], None] | None = None


class Gate:
    """A server's interceptor and observer.

    `key` is a secret of its own: whoever has it may tell the gate what to do. `credentials` are the
    run's, by which its workers are known; `log` is where requests are written down. Where `login`
    is asked for, requests without it meet no fault and are not throttled, so that "the second GET"
    is the second that could have succeeded.
    """

    def __init__(
        self, credentials: Credentials, log: RequestLog, means: Means, *, login: bool = True
    ) -> None:
        self.key = secrets.token_urlsafe(32)
        self._credentials = credentials
        self._log = log
        self._login = login
        self._means = means
        self._faults: Mapping[str, FaultInForce] = {}
        self._throttles: Mapping[str, ThrottleInForce] = {}
        self._admission = Admission()
        self._here = _Here()
        self._workers: dict[str | None, str] = {None: ""}
        self._lock = threading.Lock()

    def put(self, name: str, rule: FaultInForce | ThrottleInForce) -> None:
        """Have a fault or a throttle from now on."""
        with self._lock:
            if isinstance(rule, FaultInForce):
                self._faults = {**self._faults, name: rule}
            else:
                self._throttles = {**self._throttles, name: rule}

    def fault(self, name: str) -> FaultInForce | None:
        """The fault of that name, if it is in force."""
        return self._faults.get(name)

    def remove(self, name: str) -> None:
        """Have neither a fault nor a throttle of that name any more."""
        with self._lock:
            self._faults = {key: each for key, each in self._faults.items() if key != name}
            self._throttles = {key: each for key, each in self._throttles.items() if key != name}
        self._means.take_back(name)

    def intercept(self, request: Request, proceed: Proceed) -> Response:
        """Answer a request: as the registry does, unless a fault or a throttle meets it."""
        if request.path.startswith(control.ROOT) and control.is_ours(request, self.key):
            self._here.note = None
            return control.answer(self, request)
        note: dict[str, Any] = {}
        self._here.note = note
        if request.route == "token":
            from pytest_registry.gate.asker import introduced  # few registries give tokens

            proceed = introduced(request, proceed)
        if not self._faults and not self._throttles:
            response = proceed(request)
        else:
            response = self._through_rules(request, proceed, note)
        _take_notes(note, request, response)
        return response

    def observe(self, record: RequestRecord) -> None:
        """Write down a finished request, in the thread that answered it."""
        note, leave = self._here.note, self._here.leave
        # The next request is observed without an interception if accounts cannot be read.
        self._here.note, self._here.leave = _NO_NOTES, None
        if leave is not None:
            leave()
        if note is not None:
            self._log.add(record, self._worker(record.account), note)

    def _worker(self, account: str | None) -> str:
        """The worker whose account it is, looked up again only for an account that is new."""
        found = self._workers.get(account)
        if found is None:
            found = self._workers[account] = worker_of(account, self._credentials)
        return found

    def _through_rules(self, request: Request, proceed: Proceed, note: dict[str, Any]) -> Response:
        if self._login and request.account is None and request.route != "token":
            return proceed(request)
        throttles = [*self._throttles.values()]
        with ExitStack() as stack:
            refused = stack.enter_context(self._admission.of(request, throttles[::-1]))
            if refused is not None:
                note["fault"] = THROTTLED
                return refused
            response = self._through_faults(request, proceed, note)
            # It is being answered until its end is observed, if nothing was raised.
            self._here.leave = stack.pop_all().close
            return response

    def _through_faults(self, request: Request, proceed: Proceed, note: dict[str, Any]) -> Response:
        """Answer with every fault that is due: the latest is the first to have its way.

        But what only slows a request down lets it go on, whatever becomes of it then.
        """
        due = [(name, each) for name, each in self._faults.items() if each.is_due(request)]
        for name, each in sorted(due, key=lambda found: not found[1].fault.effect):
            proceed = self._faulty(name, each, proceed, note)
        return proceed(request)

    def _faulty(
        self, name: str, rule: FaultInForce, proceed: Proceed, note: dict[str, Any]
    ) -> Proceed:
        fault = rule.fault

        def happens() -> None:
            rule.hit()
            note["fault"] = f"{note['fault']}; " if "fault" in note else "fault: "
            note["fault"] += fault.describe()

        def answer(request: Request) -> Response:
            if not rule.concerns(request):
                return proceed(request)
            return carry_out(Meeting(name, fault, self._means, request, proceed, happens))

        return answer


def worker_of(account: str | None, credentials: Credentials) -> str:
    """The xdist worker whose account it is, MAIN for the run's own, empty for others."""
    if account == credentials.username:
        return MAIN
    before, _, worker = (account or "").rpartition("-")
    return worker if before == credentials.username and worker.startswith("gw") else ""


def _take_notes(note: dict[str, Any], request: Request, response: Response) -> None:
    """Note what the record of a request does not tell."""
    if request.route == "upload" and request.query:
        digest = request.parameter("digest") or request.parameter("mount")
        if digest:
            note["digest"] = digest
        source = request.parameter("from")
        if source and request.parameter("mount") and response.status == 201:  # noqa: PLR2004
            note["mounted_from"] = source
    if response.status in _TOLD_TO_WAIT:
        text = response.headers.get("Retry-After", "")
        if text.isdecimal():
            note["retry_after"] = float(text)
