"""Who may use a registry, and over what: accounts, tokens, certificates, as every engine needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_registry.security.accounts import AccountsFile
from pytest_registry.security.certificates import Certificates

if TYPE_CHECKING:
    from pytest_registry.security.signing import Signer
    from pytest_registry.server import ServerSettings
    from pytest_registry.server.tokens import TokenServer


@dataclass(frozen=True, slots=True)
class Security:
    """`auth` is none, basic or bearer, `tls` off, on or mutual; `token_lifetime` is in seconds.

    `accounts` is the accounts' file; `directory` is where certificates are, or are made.
    """

    auth: str
    tls: str
    token_lifetime: float
    accounts: Path
    directory: Path

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.tls == "off" else "https"

    @property
    def is_mutual(self) -> bool:
        """Whether clients need certificates too."""
        return self.tls == "mutual"

    @property
    def ca_file(self) -> str | None:
        """The authority's certificate, None without TLS."""
        return None if self.tls == "off" else str(self.certificates().ca)

    @property
    def client_cert(self) -> tuple[str, str] | None:
        """The certificate and key that clients show under mutual TLS."""
        if not self.is_mutual:
            return None
        certificates = self.certificates()
        return str(certificates.client_certificate), str(certificates.client_key)

    def certificates(self) -> Certificates:
        """The run's certificates, made at the first call; raises Unsupported without trustme."""
        from pytest_registry.clients.engine_reach import daemon_host_name

        host = daemon_host_name()
        return Certificates.in_directory(self.directory, (host,) if host else ())

    def reached(self) -> dict[str, Any]:
        """What an endpoint says of this."""
        return {"auth": self.auth, **self.transported()}

    def transported(self) -> dict[str, Any]:
        """The part of it that is not the login, which a gateway leaves to what is behind it."""
        return {
            "scheme": self.scheme,
            "tls": self.tls,
            "ca_file": self.ca_file,
            "client_cert": self.client_cert,
        }

    def embedded_settings(self, log: Callable[[str], None]) -> ServerSettings:
        """How the embedded registry is served, with a token server of its own for `bearer`."""
        from pytest_registry.security.signing import SecretSigner
        from pytest_registry.server.authentication import Basic, OpenToAll
        from pytest_registry.server.bearer import Bearer
        from pytest_registry.server.routes import ROUTES

        settings = self.transport(log)
        if self.auth == "none":
            return settings._replace(authenticator=OpenToAll())
        if self.auth == "basic":
            return settings._replace(authenticator=Basic(AccountsFile(self.accounts)))
        signer = SecretSigner()
        routes = ROUTES + self._token_server(signer).routes
        return settings._replace(authenticator=Bearer(signer), routes=routes)

    def token_server_settings(self, log: Callable[[str], None]) -> ServerSettings:
        """A server of tokens only, for a registry that is not ours; raises Unsupported.

        Its tokens are signed by the registry's own key, which whoever trusts the CA can verify.
        """
        from pytest_registry.security.signing import KeySigner

        certificates = self.certificates()
        signer = KeySigner(certificates.certificate, certificates.key)
        # distribution takes tokens for 60 s after their end.
        routes = self._token_server(signer, tolerance=60.0).routes
        return self.transport(log)._replace(routes=routes)

    def _token_server(self, signer: Signer, tolerance: float = 0.0) -> TokenServer:
        from pytest_registry.server.tokens import TokenServer

        accounts = AccountsFile(self.accounts)
        return TokenServer(accounts, signer, lifetime=self.token_lifetime, tolerance=tolerance)

    def transport(self, log: Callable[[str], None]) -> ServerSettings:
        """A server that speaks what the run speaks: plain HTTP, or TLS with its certificates."""
        from pytest_registry.server import ServerSettings

        if self.tls == "off":
            return ServerSettings(log=log)
        certificates = self.certificates()
        return ServerSettings(
            certificate=certificates.certificate,
            key=certificates.key,
            client_ca=certificates.ca if self.is_mutual else None,
            log=log,
        )
