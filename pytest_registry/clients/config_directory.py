"""The directory from which commands know their login, whom to trust, and what is plain HTTP.

It is a DOCKER_CONFIG directory with more in it; `environment.py` says who reads what.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_registry.clients import engine_address
from pytest_registry.security.certificates import with_system_authorities
from pytest_registry.security.credentials import Credentials, client_auth_config
from pytest_registry.security.files import secret_directory, write_secret


@dataclass(frozen=True, slots=True)
class ConfigDirectory:
    """The files' names, whether they are there or not."""

    path: Path

    @property
    def login(self) -> Path:
        """Docker's config.json, which is containers-auth.json as well."""
        return self.path / "config.json"

    @property
    def registries(self) -> Path:
        """registries.conf for podman, buildah and skopeo: which registry speaks plain HTTP."""
        return self.path / "registries.conf"

    @property
    def authorities(self) -> Path:
        """The system's certificate authorities and the run's; there with TLS only."""
        return self.path / "authorities.pem"

    def certificates(self, host: str) -> Path:
        """The `--cert-dir` of podman, buildah and skopeo; laid out like Docker's certs.d/HOST."""
        return self.path / "certs.d" / host

    def write(
        self,
        hosts: Iterable[str],
        credentials: Credentials | None,
        *,
        ca: Path | None = None,
        client_cert: tuple[Path, Path] | None = None,
        plain: bool = True,
    ) -> None:
        """Write all that is known of a registry, under each of its names; raises StateError.

        `plain`: it speaks plain HTTP, unless there is a `ca`.
        """
        names = list(dict.fromkeys(hosts))
        secret_directory(self.path)
        logins = {} if credentials is None else dict.fromkeys(names, credentials)
        write_secret(self.login, client_auth_config(logins, engine_address.user_plugins()))
        if ca is None:
            write_secret(self.registries, _registries(names if plain else ()))
            return
        write_secret(self.authorities, with_system_authorities(ca))
        for name in names:
            certificates = self.certificates(name)
            secret_directory(certificates.parent)
            self._write_certificates(secret_directory(certificates), ca, client_cert)

    @staticmethod
    def _write_certificates(
        directory: Path, ca: Path, client_cert: tuple[Path, Path] | None
    ) -> None:
        write_secret(directory / "ca.crt", ca.read_bytes())
        if client_cert is not None:
            certificate, key = client_cert
            write_secret(directory / "client.cert", certificate.read_bytes())
            write_secret(directory / "client.key", key.read_bytes())


def _registries(hosts: Iterable[str]) -> str:
    """The user's registries.conf, and after it ours, which may be spoken to without TLS."""
    ours = [f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in hosts]
    return "\n".join([_users_registries(), *ours])


def _users_registries() -> str:
    """What the commands would read without us; nothing of the old format or that is no text."""
    named = os.environ.get("CONTAINERS_REGISTRIES_CONF")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or engine_address.in_home(".config"))
    candidates = [home / "containers/registries.conf", Path("/etc/containers/registries.conf")]
    for candidate in [Path(named)] if named else candidates:
        try:
            text = candidate.read_text("utf-8")
        except (OSError, ValueError):  # ValueError: it is no UTF-8
            continue
        return "" if "[registries." in text else text
    return ""
