"""A real OCI registry for a test suite: one per run, logged in to, filled, never overloaded.

The names here are the product's interface; everything else may change. They are imported when they
are first used, so that loading the plugin costs next to nothing; `__init__.pyi` shows them to type
checkers. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODULES = {
    "ActiveFault": "gate.remote",
    "AuthenticationFailed": "errors",
    "Credentials": "security.credentials",
    "Descriptor": "oci.descriptor",
    "DockerCommand": "clients.cli",
    "EngineUnavailable": "errors",
    "Fault": "gate.fault",
    "Holder": "limits.slots",
    "Image": "images.image",
    "ImageNotFound": "errors",
    "InvalidReference": "errors",
    "LimitWarning": "limits.directory",
    "Limits": "limits.operations",
    "LoggedInClient": "clients.docker_sdk",
    "LoggedRequest": "report.traffic",
    "Manifest": "oci.manifest",
    "OciClient": "clients.oci",
    "Operation": "limits.policy",
    "OptionError": "errors",
    "Output": "clients.cli",
    "ProtocolError": "errors",
    "PullError": "errors",
    "Push": "sample",
    "PushError": "errors",
    "RateLimited": "errors",
    "Registry": "registry",
    "RegistryEnded": "errors",
    "RegistryError": "errors",
    "RegistrySession": "clients.http_session",
    "Requests": "report.requests",
    "SlotLost": "errors",
    "SlotTimeout": "errors",
    "StartError": "errors",
    "StateError": "errors",
    "SyntheticImage": "images.synthetic",
    "Throttle": "gate.throttle",
    "TransferError": "errors",
    "Unsupported": "errors",
    "WebContainer": "clients.containers",
    "archived_image": "images.sources",
    "synthetic_image": "images.synthetic",
}
"""Where each name is at home."""

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


class _PlainImport:
    """Finds our modules before pytest does, which would look for asserts to rewrite.

    They hold none, and pytest reads byte code object by object: a third of what the plugin cost.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """Where a module of this package is; nothing is said of others."""
        return PathFinder.find_spec(name, path, target) if name.startswith(_OURS) else None


_OURS = f"{__name__}."
if "pytest" in sys.modules:
    sys.meta_path.insert(0, _PlainImport)
