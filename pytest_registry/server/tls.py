"""TLS for the server: a certificate of its own and, where asked for, one of every client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_registry.server.settings import ServerSettings

if TYPE_CHECKING:
    from ssl import SSLContext


def server_context(settings: ServerSettings) -> SSLContext | None:
    """The context that these settings ask for, None for plain HTTP (ssl is not imported then)."""
    if settings.certificate is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.key)
    context.set_alpn_protocols(["http/1.1"])
    if settings.client_ca is not None:
        context.load_verify_locations(settings.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
