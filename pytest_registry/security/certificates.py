"""A certificate authority of the run's own, and what it signs: made by trustme, trusted by nobody.

The keys never leave the run's directory, and all of it is gone with the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_registry.errors import Unsupported
from pytest_registry.security.files import secret_directory, write_secret

NAMES = ("127.0.0.1", "::1", "localhost")
"""What a registry on this machine is called."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files in a directory of mode 0700."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate, which clients are to trust."""
        return self.directory / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The registry's own."""
        return self.directory / "registry.pem"

    @property
    def key(self) -> Path:
        """The registry's key."""
        return self.directory / "registry-key.pem"

    @property
    def client_certificate(self) -> Path:
        """What a client shows under mutual TLS."""
        return self.directory / "client.pem"

    @property
    def client_key(self) -> Path:
        """The client's key."""
        return self.directory / "client-key.pem"

    @classmethod
    def in_directory(cls, directory: Path, hosts: Iterable[str] = ()) -> Certificates:
        """Those in `directory`, made where they are missing, for this machine and `hosts`.

        Raises Unsupported where trustme is not installed, StateError.
        """
        found = cls(directory)
        if not found.client_key.exists():
            found._make(dict.fromkeys((*NAMES, *hosts)))
        return found

    def _make(self, names: Iterable[str]) -> None:
        try:
            import trustme
        except ImportError:
            raise Unsupported(
                "make certificates for the registry",
                "trustme is not installed",
                "install it with pip install 'pytest-registry[tls]'; --registry-tls=off and, on the"
                " embedded engine, every kind of login need no certificates",
                section="no-trustme",
            ) from None
        secret_directory(self.directory)
        authority = trustme.CA(organization_name="pytest-registry, a run's own")
        server = authority.issue_cert(*names, common_name="pytest-registry")
        client = authority.issue_cert("client@pytest-registry.invalid", common_name="client")
        write_secret(self.ca, authority.cert_pem.bytes())
        for leaf, certificate, key in (
            (server, self.certificate, self.key),
            (client, self.client_certificate, self.client_key),
        ):
            write_secret(certificate, b"".join(each.bytes() for each in leaf.cert_chain_pems))
            write_secret(key, leaf.private_key_pem.bytes())


def with_system_authorities(ca: Path) -> bytes:
    """The system's authorities and one more, in PEM: for variables that name ALL that is trusted.

    SSL_CERT_FILE replaces a program's authorities; with ours alone it would reach nothing else.
    """
    own, system = ca.read_bytes(), system_authorities()
    return own if system is None else system.read_bytes().rstrip(b"\n") + b"\n" + own


def system_authorities() -> Path | None:
    """The file of the authorities that programs trust here, as SSL_CERT_FILE has it; None: none."""
    import ssl

    paths = ssl.get_default_verify_paths()
    candidates = (
        os.environ.get("SSL_CERT_FILE"),
        paths.cafile,
        paths.openssl_cafile,
        "/etc/ssl/certs/ca-certificates.crt",  # Debian and its kin
        "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora and its kin
    )
    return next((Path(each) for each in candidates if each and Path(each).is_file()), None)
