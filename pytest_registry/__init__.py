"""A real OCI registry for a test suite: one per run, logged in to, filled, never overloaded.

The names here are the product's interface; everything else may change. They are imported when they
are first used, so that loading the plugin costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_registry.clients.containers import WebContainer
    from pytest_registry.clients.docker_sdk import LoggedInClient
    from pytest_registry.clients.oci import OciClient
    from pytest_registry.errors import (
        AuthenticationFailed,
        EngineUnavailable,
        ImageNotFound,
        InvalidReference,
        OptionError,
        ProtocolError,
        PullError,
        PushError,
        RateLimited,
        RegistryEnded,
        RegistryError,
        SlotLost,
        SlotTimeout,
        StartError,
        StateError,
        TransferError,
        Unsupported,
    )
    from pytest_registry.gate.fault import Fault
    from pytest_registry.gate.remote import ActiveFault
    from pytest_registry.gate.throttle import Throttle
    from pytest_registry.images.image import Image
    from pytest_registry.images.sources import archived_image
    from pytest_registry.images.synthetic import synthetic_image
    from pytest_registry.limits.operations import Limits
    from pytest_registry.registry import Registry
    from pytest_registry.report.requests import Requests
    from pytest_registry.report.traffic import LoggedRequest
    from pytest_registry.sample import Push
    from pytest_registry.security.credentials import Credentials

_MODULES = {
    "ActiveFault": "gate.remote",
    "Credentials": "security.credentials",
    "Fault": "gate.fault",
    "Image": "images.image",
    "Limits": "limits.operations",
    "LoggedInClient": "clients.docker_sdk",
    "LoggedRequest": "report.traffic",
    "OciClient": "clients.oci",
    "Push": "sample",
    "Registry": "registry",
    "Requests": "report.requests",
    "Throttle": "gate.throttle",
    "WebContainer": "clients.containers",
    "archived_image": "images.sources",
    "synthetic_image": "images.synthetic",
}
"""Where each name is at home; the errors, which have no row here, are in errors.py."""

__all__ = [
    "ActiveFault",
    "AuthenticationFailed",
    "Credentials",
    "EngineUnavailable",
    "Fault",
    "Image",
    "ImageNotFound",
    "InvalidReference",
    "Limits",
    "LoggedInClient",
    "LoggedRequest",
    "OciClient",
    "OptionError",
    "ProtocolError",
    "PullError",
    "Push",
    "PushError",
    "RateLimited",
    "Registry",
    "RegistryEnded",
    "RegistryError",
    "Requests",
    "SlotLost",
    "SlotTimeout",
    "StartError",
    "StateError",
    "Throttle",
    "TransferError",
    "Unsupported",
    "WebContainer",
    "archived_image",
    "synthetic_image",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
