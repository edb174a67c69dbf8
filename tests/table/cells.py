"""The table: which client works with which registry, and why the others are refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from tests.table.drivers import DRIVERS

ENGINES = ("embedded", "container")
AUTHS = ("none", "basic", "bearer")
MODES = ("off", "on", "mutual")


@dataclass(frozen=True)
class Kind:
    """One kind of registry."""

    engine: str
    auth: str
    tls: str

    def __str__(self) -> str:
        return f"{self.engine}-{self.auth}-{self.tls}"


@dataclass(frozen=True)
class Refusal:
    """Clients that cannot work with some kinds of registry: the error's type, and why."""

    clients: tuple[str, ...]
    auths: tuple[str, ...]
    tls: str
    errors: tuple[str, ...]
    why: str

    def meets(self, client: str, kind: Kind) -> bool:
        return client in self.clients and kind.auth in self.auths and kind.tls == self.tls


KINDS = [Kind(*each) for each in product(ENGINES, AUTHS, MODES)]

REFUSALS = (
    Refusal(
        ("docker", "docker-py"),
        AUTHS,
        "mutual",
        ("EngineUnavailable",),
        "a Docker engine shows no client certificate to a registry on a loopback address: it"
        " reads certs.d for secure registries only, and takes 127.0.0.0/8 for insecure ones",
    ),
    Refusal(
        ("python-dxf",),
        ("basic", "bearer"),
        "off",
        ("DXFAuthInsecureError",),
        "python-dxf sends no login without TLS",
    ),
)


def refusal(client: str, kind: Kind) -> Refusal | None:
    """Why the client does not work with the registry; None where it does."""
    return next((each for each in REFUSALS if each.meets(client, kind)), None)


def table() -> str:
    """The table as the documentation shows it; both engines have the same."""
    columns = list(product(AUTHS, MODES))
    names = {"off": "HTTP", "on": "TLS", "mutual": "mutual TLS"}
    heads = " | ".join(f"{auth}, {names[tls]}" for auth, tls in columns)
    lines = [f"| client | {heads} |", "| --- |" + " --- |" * len(columns)]
    for client in DRIVERS:
        cells = {
            engine: [_cell(client, Kind(engine, *each)) for each in columns] for engine in ENGINES
        }
        assert cells["embedded"] == cells["container"], "then the table needs two parts"
        lines.append(f"| {client} | {' | '.join(cells['embedded'])} |")
    notes = [f"{_mark(each)} {each.why[0].upper()}{each.why[1:]}." for each in REFUSALS]
    return "\n".join([*lines, "", *notes])


def _cell(client: str, kind: Kind) -> str:
    found = refusal(client, kind)
    return "yes" if found is None else f"no {_mark(found)}"


def _mark(each: Refusal) -> str:
    return f"({'abc'[REFUSALS.index(each)]})"
