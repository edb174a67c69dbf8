"""The table that the specification's tests fill: one row per MUST and SHOULD for a registry.

What the specification asks of clients only has no row, nor what a registry that does something else
would owe (deletion disabled, a minimal chunk length, redirects, proxying, warnings).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.server.conftest import Asked, Kit

Check = Callable[["Asked", "Kit"], None]
ABSENT = "sha256:" + "0" * 64
OTHER_DIGESTS = (
    "blake3:" + "0" * 64,
    "md5:" + "0" * 32,
    "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
    "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
)
"""Digests by the grammar (image-spec, descriptor.md), of algorithms that the registry has not."""
NO_DIGESTS = (
    "sha256:short",
    "sha512:" + "0" * 64,
    "blake3:" + "G" * 64,
    "SHA256:" + "0" * 64,
    "x:",
)


@dataclass(frozen=True)
class Rule:
    """`section` is the specification's heading, `says` its sentence in short."""

    section: str
    says: str
    check: Check

    def __str__(self) -> str:
        return self.check.__name__


class Rules(list[Rule]):
    """Rows, each written above the function that checks it."""

    def row(self, section: str, says: str) -> Callable[[Check], Check]:
        """A decorator that makes a row of a check."""

        def collect(check: Check) -> Check:
            self.append(Rule(section, says, check))
            return check

        return collect
