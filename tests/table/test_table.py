"""Every client with every kind of login and transport, on both engines.

Each cell pushes, forgets, pulls back and compares digests, or is refused with the expected error.
`python -m tests.table.test_table` writes the table into the documentation.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry import AuthenticationFailed, Credentials, Registry
from tests.table.cells import KINDS, Kind, refusal, table
from tests.table.drivers import DRIVERS

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "use-any-client.md"
COMMANDS = ("docker", "skopeo", "buildah", "podman")

Factory = Callable[..., Registry]


@pytest.fixture(scope="module")
def of_kind(registry_factory: Factory, ci_registry_image: str) -> Callable[[Kind], Registry]:
    """A registry of each kind, started once."""
    started: dict[Kind, Registry] = {}

    def find(kind: Kind) -> Registry:
        if kind not in started:
            started[kind] = registry_factory(
                scope="session",
                engine=kind.engine,
                auth=kind.auth,
                tls=kind.tls,
                image=ci_registry_image,
            )
        return started[kind]

    return find


def at_hand() -> list[str]:
    """The clients that are installed; in CI all of them have to be."""
    absent = [name for name in COMMANDS if shutil.which(name) is None]
    if absent and os.environ.get("CI") == "true":
        pytest.fail(f"CI must not skip {', '.join(absent)}: run tools/clients", pytrace=False)
    return [name for name in DRIVERS if name not in absent]


@pytest.mark.container_engine
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_client_works_or_is_refused_as_the_table_says(
    kind: Kind, of_kind: Callable[[Kind], Registry], tmp_path: Path
) -> None:
    registry = of_kind(kind)
    wrong = [
        problem for name in at_hand() if (problem := deviation(name, kind, registry, tmp_path))
    ]
    assert not wrong, "\n".join(wrong)


def deviation(name: str, kind: Kind, registry: Registry, tmp_path: Path) -> str:
    """What a cell of the table does otherwise than the table says; empty for nothing."""
    directory = tmp_path / name
    directory.mkdir()
    expected = refusal(name, kind)
    try:
        pushed, pulled = DRIVERS[name](registry, f"cells/{name}", directory)
    except Exception as error:  # whatever the client raises
        if expected is not None and type(error).__name__ in expected.errors:
            return ""
        return f"{name} failed with {type(error).__name__}: {error}"
    if expected is not None:
        return f"{name} works, which the table denies: {expected.why}"
    return "" if pushed == pulled else f"{name} pushed {pushed} and pulled {pulled}"


@pytest.mark.container_engine
@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_every_client_is_refused_with_a_wrong_password(
    auth: str, of_kind: Callable[[Kind], Registry], tmp_path: Path
) -> None:
    registry = of_kind(Kind("embedded", auth, "on"))
    wrong = registry.logged_in(Credentials(registry.credentials.username, "wrong"))
    for name in at_hand():
        directory = tmp_path / name
        directory.mkdir()
        with pytest.raises(Exception):  # noqa: B017, PT011 - each client has its own
            DRIVERS[name](wrong, f"wrong/{name}", directory)
    assert [name for name in registry.repositories() if name.startswith("wrong")] == []


@pytest.mark.container_engine
def test_docker_gives_up_at_once_with_a_wrong_password(
    of_kind: Callable[[Kind], Registry], tmp_path: Path, registry_namespace: str
) -> None:
    registry = of_kind(Kind("embedded", "basic", "off"))
    wrong = registry.logged_in(Credentials(registry.credentials.username, "wrong"))
    with pytest.raises(AuthenticationFailed, match="authentication required"):
        DRIVERS["docker"](wrong, f"{registry_namespace}/docker", tmp_path)
    assert [each.status for each in registry.requests if each.method == "POST"] == [401]


def with_table(text: str) -> str:
    """The page with the table made anew."""
    return re.sub(
        r"(<!-- clients: .*? -->\n\n).*?(\n\n<!-- end clients -->)",
        lambda found: f"{found[1]}{table()}{found[2]}",
        text,
        flags=re.DOTALL,
    )


def test_the_documentation_shows_the_table() -> None:
    text = PAGE.read_text()
    assert text == with_table(text), "run `python -m tests.table.test_table` to write it anew"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
