from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from typing import Any

from pytest_registry.clients.cli import DockerCommand as DockerCommand
from pytest_registry.clients.cli import Output as Output
from pytest_registry.clients.containers import WebContainer as WebContainer
from pytest_registry.clients.docker_sdk import LoggedInClient as LoggedInClient
from pytest_registry.clients.http_session import RegistrySession as RegistrySession
from pytest_registry.clients.oci import OciClient as OciClient
from pytest_registry.errors import AuthenticationFailed as AuthenticationFailed
from pytest_registry.errors import EngineUnavailable as EngineUnavailable
from pytest_registry.errors import ImageNotFound as ImageNotFound
from pytest_registry.errors import InvalidReference as InvalidReference
from pytest_registry.errors import OptionError as OptionError
from pytest_registry.errors import ProtocolError as ProtocolError
from pytest_registry.errors import PullError as PullError
from pytest_registry.errors import PushError as PushError
from pytest_registry.errors import RateLimited as RateLimited
from pytest_registry.errors import RegistryEnded as RegistryEnded
from pytest_registry.errors import RegistryError as RegistryError
from pytest_registry.errors import SlotLost as SlotLost
from pytest_registry.errors import SlotTimeout as SlotTimeout
from pytest_registry.errors import StartError as StartError
from pytest_registry.errors import StateError as StateError
from pytest_registry.errors import TransferError as TransferError
from pytest_registry.errors import Unsupported as Unsupported
from pytest_registry.gate.fault import Fault as Fault
from pytest_registry.gate.remote import ActiveFault as ActiveFault
from pytest_registry.gate.throttle import Throttle as Throttle
from pytest_registry.images.image import Image as Image
from pytest_registry.images.sources import archived_image as archived_image
from pytest_registry.images.synthetic import SyntheticImage as SyntheticImage
from pytest_registry.images.synthetic import synthetic_image as synthetic_image
from pytest_registry.limits.directory import LimitWarning as LimitWarning
from pytest_registry.limits.operations import Limits as Limits
from pytest_registry.limits.policy import Operation as Operation
from pytest_registry.limits.slots import Holder as Holder
from pytest_registry.oci.descriptor import Descriptor as Descriptor
from pytest_registry.oci.manifest import Manifest as Manifest
from pytest_registry.registry import Registry as Registry
from pytest_registry.report.requests import Requests as Requests
from pytest_registry.report.traffic import LoggedRequest as LoggedRequest
from pytest_registry.sample import Push as Push
from pytest_registry.security.credentials import Credentials as Credentials

__all__: list[str]

class _PlainImport:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None: ...
