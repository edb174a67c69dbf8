"""JSON Web Tokens (RFC 7519): signed with a secret, or with a key whose certificate goes along."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Signer(Protocol):
    """Signs what tokens say."""

    @property
    def header(self) -> Mapping[str, Any]:
        """The token's header (RFC 7515, section 4): the algorithm, and how to verify."""

    def sign(self, content: bytes) -> bytes:
        """The signature."""


class SecretSigner:
    """HMAC with SHA-256 (RFC 7518, section 3.2) and a random secret: who signs also verifies."""

    header: Mapping[str, Any] = {"typ": "JWT", "alg": "HS256"}

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def sign(self, content: bytes) -> bytes:
        """The signature."""
        return hmac.digest(self._secret, content, hashlib.sha256)

    def verify(self, token: str) -> dict[str, Any] | None:
        """What a token of ours says, None for any other; its times are not looked at."""
        content, _, signature = token.rpartition(".")
        given = _decode(signature)
        if given is None or not hmac.compare_digest(given, self.sign(content.encode())):
            return None
        claims: dict[str, Any] = json.loads(_decode(content.partition(".")[2]) or b"{}")
        return claims


class KeySigner:
    """ECDSA with P-256 and SHA-256 (RFC 7518, section 3.4): whoever trusts the CA can verify.

    `certificate` and `key` are PEM files; the certificate's chain stands in every token's header
    (`x5c`), as distribution's token documents have it. Needs `cryptography`.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        self._key: Any = load_pem_private_key(key.read_bytes(), None)
        self.header: Mapping[str, Any] = {
            "typ": "JWT",
            "alg": "ES256",
            "x5c": _chain(certificate.read_text("ascii")),
        }

    def sign(self, content: bytes) -> bytes:
        """The signature: both numbers, 32 bytes each."""
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.hashes import SHA256

        r, s = utils.decode_dss_signature(self._key.sign(content, ec.ECDSA(SHA256())))
        return bytes(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def signed(signer: Signer, claims: Mapping[str, Any]) -> str:
    """A token in its compact form (RFC 7515, section 7.1)."""
    content = f"{_encode(_json(signer.header))}.{_encode(_json(claims))}"
    return f"{content}.{_encode(signer.sign(content.encode()))}"


def _chain(pem: str) -> list[str]:
    """Certificates as `x5c` has them: base64 of DER, the leaf first."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END", pem, flags=re.DOTALL)
    return ["".join(each.split()) for each in found]


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
