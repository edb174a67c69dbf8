"""The closed table of error codes, and the exception that handlers raise.

Spec: "Error Codes". A body is `{"errors": [{"code", "message", "detail"}, ...]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum

from pytest_registry.server.response import Response


class Code(Enum):
    """Every error code of the specification, with the status it usually has and its message.

    Where one code serves several endpoints the status can be overridden when it is raised; the
    specification fixes codes and statuses separately.
    """

    BLOB_UNKNOWN = (404, "blob unknown to registry")
    BLOB_UPLOAD_INVALID = (400, "blob upload invalid")
    BLOB_UPLOAD_UNKNOWN = (404, "blob upload unknown to registry")
    DIGEST_INVALID = (400, "provided digest did not match uploaded content")
    MANIFEST_BLOB_UNKNOWN = (400, "manifest references a manifest or blob unknown to registry")
    MANIFEST_INVALID = (400, "manifest invalid")
    MANIFEST_UNKNOWN = (404, "manifest unknown to registry")
    NAME_INVALID = (400, "invalid repository name")
    NAME_UNKNOWN = (404, "repository name not known to registry")
    SIZE_INVALID = (400, "provided length did not match content length")
    UNAUTHORIZED = (401, "authentication required")
    DENIED = (403, "requested access to the resource is denied")
    UNSUPPORTED = (405, "the operation is unsupported")
    TOOMANYREQUESTS = (429, "too many requests")

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message


class ApiError(Exception):
    """A request is refused: `code` names why, every text of `details` makes one error entry."""

    def __init__(
        self,
        code: Code,
        *details: str,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code.name, *details)
        self.code = code
        self.details = details
        self.status = code.status if status is None else status
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer in the specification's JSON form."""
        return error_response(self.status, self.code.name, self.code.message, self.details).with_(
            self.headers
        )


def error_response(status: int, code: str, message: str, details: Iterable[str]) -> Response:
    """An answer with one error entry per detail, or one entry if there is none."""
    entries = [{"code": code, "message": message, "detail": detail} for detail in details]
    body = json.dumps({"errors": entries or [{"code": code, "message": message}]})
    return Response(status, {"Content-Type": "application/json"}, body.encode())


def trace_of(error: BaseException) -> str:
    """Where an error comes from, in one line for the log.

    Not by the module traceback: it would be imported and read sources, which takes descriptors, and
    to be out of those is one of the errors. Raises nothing.
    """
    try:
        what = f"{type(error).__name__}: {error}"
    except Exception:  # an error that cannot tell what it is
        what = type(error).__name__
    places, step = [], error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{code.co_filename}:{step.tb_lineno} in {code.co_name}")
        step = step.tb_next
    return f"Traceback: {'; '.join(places)}: {what}"
