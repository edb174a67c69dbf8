"""From request to response: who asks, which handler, and what becomes of errors."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from pytest_registry.server.authentication import Authenticator, Challenge
from pytest_registry.server.errors import ApiError, Code, error_response
from pytest_registry.server.request import Request
from pytest_registry.server.response import Response
from pytest_registry.server.routes import PUBLIC_ROUTES, ROUTES, Handler, Route, Router
from pytest_registry.server.settings import Interceptor
from pytest_registry.server.store.store import Store

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Application:
    """Answers requests. It knows nothing of sockets, and the handlers know nothing of it."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        interceptor: Interceptor | None,
        log: Callable[[str], None],
        routes: Sequence[Route] = ROUTES,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._interceptor = interceptor
        self._log = log
        self._router = Router(routes)

    def answer(self, request: Request) -> Response:
        """The response to a request; raises only what ends the connection (ConnectionError)."""
        handler = self._admit(request)

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
        except OSError as error:
            if error.errno in _FULL:
                return ApiError(Code.DENIED, "the registry's disk is full", status=507).response()
            return self._broken()
        except Exception:  # one broken request must not end the server
            return self._broken()

    def _broken(self) -> Response:
        import traceback  # needed here only, and slow to import

        self._log(traceback.format_exc())
        return error_response(500, "UNKNOWN", "the registry is broken; its log tells how", ())


def _refused(challenge: Challenge) -> ApiError:
    details = [challenge.reason] if challenge.reason else []
    headers = {"WWW-Authenticate": challenge.header} if challenge.header else {}
    return ApiError(challenge.code, *details, status=challenge.status, headers=headers)


def _refusal(error: ApiError) -> Handler:
    def refuse(store: Store, request: Request) -> Response:  # noqa: ARG001 - a handler
        raise error

    return refuse
