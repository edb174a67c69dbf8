"""From request to response: who asks, which handler, and what becomes of errors."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from pytest_registry.server.authentication import Authenticator, Challenge
from pytest_registry.server.errors import ApiError, Code, error_response, trace_of
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.routes import PUBLIC_ROUTES, Handler, Route, Router
from pytest_registry.server.settings import Interceptor
from pytest_registry.server.store.store import Store

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_BROKEN = error_response(500, "UNKNOWN", "the registry is broken; its log tells how", ())
"""Made beforehand: when it is needed, nothing may go wrong any more.

The specification's codes are for its 4XX answers, and none says that the fault is the registry's.
This one is Docker's, and clients know it.
"""


class Application:
    """Answers requests. It knows nothing of sockets, and the handlers know nothing of it."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        interceptor: Interceptor | None,
        log: Callable[[str], None],  # raises nothing
        routes: Sequence[Route],
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._interceptor = interceptor
        self._log = log
        self._router = Router(routes)

    def answer(self, request: Request) -> Response:
        """The response to a request; raises only what ends the connection (ConnectionError)."""
        try:
            handler = self._admit(request)
        except Exception as error:  # accounts that cannot be read let nobody in
            return self._failed(error)

        def proceed(request: Request) -> Response:
            return self._guard(lambda: handler(self._store, request))

        if self._interceptor is None:
            return proceed(request)
        intercept = self._interceptor
        return self._guard(lambda: intercept(request, proceed))

    def _admit(self, request: Request) -> Handler:
        """The handler for a request, or one that refuses it.

        A client that has not proved who it is learns nothing, not even which paths exist.
        """
        try:
            handler = self._router.find(request)
        except ApiError as error:
            handler = _refusal(error)
        if request.route in PUBLIC_ROUTES:
            return handler
        outcome = self._authenticator.authenticate(request)
        if isinstance(outcome, Challenge):
            request.account = outcome.account
            return _refusal(_refused(outcome))
        request.account = outcome
        return handler

    def _guard(self, step: Callable[[], Response]) -> Response:
        """Make a response of every error."""
        try:
            return step()
        except ApiError as error:
            return error.response()
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # one broken request must not end the server
            return self._failed(error)

    def _failed(self, error: Exception) -> Response:
        """The response to what is no fault of the client's; raises nothing."""
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL:
            return ApiError(Code.DENIED, "the registry's disk is full", status=507).response()
        self._log(trace_of(error))
        if number in _TOO_MANY_FILES:
            why = "the registry is out of file descriptors"
            again = {"Retry-After": "1"}
            return ApiError(Code.TOOMANYREQUESTS, why, status=503, headers=again).response()
        return _BROKEN


def _refused(challenge: Challenge) -> ApiError:
    headers = {"WWW-Authenticate": challenge.header} if challenge.header else {}
    return ApiError(challenge.code, challenge.reason, status=challenge.status, headers=headers)


def _refusal(error: ApiError) -> Handler:
    def refuse(store: Store, request: Request) -> Response:  # noqa: ARG001 - a handler
        raise error

    return refuse
