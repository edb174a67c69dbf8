"""How a registry image is told who may use it: environment variables, and files put into it."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_registry.engines.security import Security
from pytest_registry.security.credentials import Credentials

DIRECTORY = "pytest-registry"
"""Where the files are in the container, below its root."""


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """Variables, always instead of a file of settings: its path moved between images 2 and 3."""

    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, security: Security, credentials: Credentials, realm: str) -> RegistryConfig:
        """The settings for an image of distribution; `realm` is the token server's address."""
        config = cls()
        if security.auth == "basic":
            config._ask_for_password(credentials)
        elif security.auth == "bearer":
            config._ask_for_token(security, realm)
        if security.tls != "off":
            config._speak_tls(security)
        return config

    def archive(self) -> bytes:
        """The files as a tar archive, for the container's root; empty where there are none."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content in self.files.items():
                member = tarfile.TarInfo(f"{DIRECTORY}/{name}")
                # Readable for all: some images run as another user. Nobody else is in there.
                member.size, member.mode, member.mtime = len(content), 0o644, int(time.time())
                tar.addfile(member, io.BytesIO(content))
        return archive.getvalue() if self.files else b""

    def _ask_for_password(self, credentials: Credentials) -> None:
        path = self._put("htpasswd", credentials.htpasswd().encode())
        self._set("REGISTRY_AUTH", {"": "htpasswd", "_HTPASSWD_REALM": DIRECTORY})
        self._set("REGISTRY_AUTH", {"_HTPASSWD_PATH": path})

    def _ask_for_token(self, security: Security, realm: str) -> None:
        from pytest_registry.server.bearer import SERVICE
        from pytest_registry.server.tokens import ISSUER

        bundle = self._put("token-ca.pem", security.certificates().ca.read_bytes())
        self._set("REGISTRY_AUTH", {"": "token", "_TOKEN_REALM": realm, "_TOKEN_SERVICE": SERVICE})
        self._set("REGISTRY_AUTH_TOKEN", {"_ISSUER": ISSUER, "_ROOTCERTBUNDLE": bundle})

    def _speak_tls(self, security: Security) -> None:
        certificates = security.certificates()
        certificate = self._put("registry.pem", certificates.certificate.read_bytes())
        key = self._put("registry-key.pem", certificates.key.read_bytes())
        self._set("REGISTRY_HTTP_TLS", {"_CERTIFICATE": certificate, "_KEY": key})
        if security.is_mutual:
            clients = self._put("client-ca.pem", certificates.ca.read_bytes())
            self._set("REGISTRY_HTTP_TLS", {"_CLIENTCAS": f"[{clients}]"})

    def _set(self, prefix: str, values: Mapping[str, str]) -> None:
        self.environment.update({f"{prefix}{name}": value for name, value in values.items()})

    def _put(self, name: str, content: bytes) -> str:
        self.files[name] = content
        return f"/{DIRECTORY}/{name}"
