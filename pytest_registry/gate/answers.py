"""The texts in which registries refuse: ours, and the ones that clients have tripped on."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_registry.server import Code, Response

_AZURE = (
    "toomanyrequests: Too many requests. Please visit https://aka.ms/acr/throttling to view limits"
    " of all service tiers."
)
_DOCKER_HUB = (
    "You have reached your pull rate limit. You may increase the limit by authenticating and"
    " upgrading: https://www.docker.com/increase-rate-limit"
)
_CODES = {
    400: Code.UNSUPPORTED,
    401: Code.UNAUTHORIZED,
    403: Code.DENIED,
    404: Code.NAME_UNKNOWN,
    405: Code.UNSUPPORTED,
    429: Code.TOOMANYREQUESTS,
}


def refusal(
    status: int,
    style: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    detail: str = "",
) -> Response:
    """A refusal in one of the styles of `fault.ANSWERS`; `body`, where given, replaces its body."""
    kind, text = _written(status, style, detail)
    content = text if body is None else body
    typed = {"Content-Type": kind} if content and not _names(headers, "content-type") else {}
    return Response(status, {**typed, **(headers or {})}, content.encode())


def _written(status: int, style: str, detail: str) -> tuple[str, str]:
    """A refusal's content type and text."""
    if style == "azure":
        return "application/json", _errors("TOOMANYREQUESTS", _AZURE, detail)
    if style == "docker-hub":
        return "application/json", _errors("TOOMANYREQUESTS", _DOCKER_HUB, "")
    if style == "text":
        return "text/plain; charset=utf-8", f"{status}: the registry is busy\n"
    if style == "html":
        return (
            "text/html",
            f"<html><head><title>{status}</title></head><body>{status}</body></html>",
        )
    if style == "empty":
        return "", ""
    code = _CODES.get(status)
    name = code.name if code is not None else "UNKNOWN"
    message = code.message if code is not None else "the registry failed, as it was told to"
    return "application/json", _errors(name, message, detail)


def _errors(code: str, message: str, detail: str) -> str:
    entry = {"code": code, "message": message}
    return json.dumps({"errors": [entry | ({"detail": detail} if detail else {})]})


def _names(headers: Mapping[str, str] | None, name: str) -> bool:
    return any(each.lower() == name for each in headers or ())
