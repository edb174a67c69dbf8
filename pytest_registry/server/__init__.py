"""An OCI registry of our own: the distribution specification 1.1 on the standard library.

Read it with the specification at hand. `routes.py` is its table of endpoints, `errors.py` its table
of error codes; `base`, `blobs`, `uploads`, `manifests`, `tags`, `referrers` and `catalog` are its
nouns, functions from request to response that know nothing of sockets. `application` stands before
them, `connection` speaks HTTP, `server` owns the socket and the threads, `store` holds the content.

Its data are named tuples, here and in `oci`: a frozen data class takes six times as long to make,
and the module `dataclasses` a tenth of the server's start. Modules that define some do without
`from __future__ import annotations`: typing would compile the text of every field again, 3 ms in
all. Paths are text below `store`, for pathlib takes 4 ms to import.
"""

from pytest_registry.server.authentication import Account, Authenticator, Challenge
from pytest_registry.server.errors import ApiError, Code
from pytest_registry.server.records import RequestRecord
from pytest_registry.server.request import Request
from pytest_registry.server.response import NO_ANSWER, Content, End, Response
from pytest_registry.server.server import RegistryServer
from pytest_registry.server.settings import Interceptor, Proceed, ServerSettings

__all__ = [
    "NO_ANSWER",
    "Account",
    "ApiError",
    "Authenticator",
    "Challenge",
    "Code",
    "Content",
    "End",
    "Interceptor",
    "Proceed",
    "RegistryServer",
    "Request",
    "RequestRecord",
    "Response",
    "ServerSettings",
]
