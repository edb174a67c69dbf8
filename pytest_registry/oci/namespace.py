"""Repositories below a prefix: how a run keeps to itself in a registry that others use too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pytest_registry.oci.reference import check_repository


@dataclass(frozen=True, slots=True)
class Namespace:
    """The place of all names that a client is given; without a prefix it is the whole registry.

    `note` is told each name as the registry knows it, before it is used: so that what was made can
    be found again in a registry without a catalog.
    """

    prefix: str = ""
    note: Callable[[str], None] | None = None

    def full(self, repository: str) -> str:
        """The name by which the registry knows `repository`; raises InvalidReference."""
        name = check_repository(repository)
        if self.prefix:
            name = check_repository(f"{self.prefix}/{name}")
        if self.note is not None:
            self.note(name)
        return name

    def own(self, repositories: Iterable[str]) -> list[str]:
        """Those of a registry's repositories that lie in here, by the names that users give."""
        if not self.prefix:
            return list(repositories)
        below = f"{self.prefix}/"
        return [name.removeprefix(below) for name in repositories if name.startswith(below)]


WHOLE = Namespace()
"""All of a registry."""
