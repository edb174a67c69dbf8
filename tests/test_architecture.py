"""The house rules of the code: who may import whom, how large a file gets, what it may name.

The sources are read, never imported: so a rule also holds for an import inside a function, and for
a module that cannot be imported on this machine. The last tests break each rule on purpose.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

import pytest_registry

ROOT = Path(__file__).parents[1]
PACKAGE = "pytest_registry"

# From top to bottom: a part imports those in the rows below its own, never one in the same row.
# A module that differs from the rest of its part has its own row. A new part needs a place first.
LAYERS = (
    ("__init__", "__main__"),
    ("plugin",),
    ("fixtures",),
    ("sharing",),
    ("sample",),
    ("registry",),
    ("assertions",),
    ("contents", "watch", "accounts"),
    ("engines",),
    ("gate",),
    ("images.engine",),  # a source that asks the engine; the others are bytes and protocols
    ("clients", "server"),
    ("images",),
    ("limits",),
    ("report",),
    ("settings",),
    ("values",),
    ("options",),
    ("oci", "security"),
    ("errors", "troubleshooting"),
)
# Parts that may know less than what lies below them.
KNOWS_ONLY = {
    "server": {"oci", "security", "errors"},
    "gate": {"server", "report", "oci", "security", "errors"},
    "limits": {"report.records", "settings", "options", "oci", "security.files", "errors"},
    "report": {"settings", "errors"},
}
ENGINES = {"engines.container", "engines.embedded", "engines.external"}

MAY_IMPORT_PYTEST = {"plugin", "fixtures", "options", "values", "sharing", "report.terminal"}

# Imported inside the functions that need them: a run that uses no registry pays nothing for them.
HEAVY = {
    *("docker", "testcontainers", "requests", "urllib3", "filelock", "bcrypt", "http.server"),
    *("trustme", "cryptography", "rich", "redis"),
}
# Modules that need them on every other line. They are then imported lazily themselves.
HEAVY_MODULES = {
    *("clients.docker_sdk", "clients.containers", "clients.http_session", "clients.ssh"),
}

LONGEST_FILE = 400
NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc"}
# Hosts of package registries and paths of one machine. Written so as not to find itself.
PRIVATE = re.compile(
    r"\b(?:pypi|pythonhosted|debian|npmjs)\.(?:org|com)\b"
    r"|(?<![\w.])/(?:work/(?:main|shared|\.library)|opt/(?:pypi|wheels)|tmp/venv|root/\.pyenv)\b"
)

ImportRule = Callable[[Iterable["Import"]], list[str]]
FileRule = Callable[[Iterable[Path]], list[str]]
When = Literal["on import", "in a function", "for types"]


@dataclass(frozen=True)
class Import:
    """One target of an import statement; names of our own modules are relative to the package."""

    importer: str
    target: str
    when: When

    def __str__(self) -> str:
        return f"{self.importer} imports {self.target} {self.when}"


def inside(name: str, group: Iterable[str]) -> bool:
    """Whether the module is one of the group's or lies in one of them."""
    return any(name == one or name.startswith(f"{one}.") for one in group)


def part(module: str) -> str:
    """The part of the house that a module of ours belongs to."""
    return module.partition(".")[0]


def row(name: str) -> int | None:
    """The number of the row in LAYERS that the name, or the module that it lies in, has."""
    rows = {one: number for number, names in enumerate(LAYERS) for one in names}
    around = [one for one in rows if inside(name, {one})]
    return rows[max(around, key=len)] if around else None


def goes_down(one: Import) -> bool:
    """Whether the import's target stands in a lower row; what has no row is at the bottom."""
    high, low = row(one.importer), row(one.target)
    return high is not None and (low is None or low > high)


# Reading the sources ----------------------------------------------------------------------------


def module_name(path: Path, package: Path) -> str:
    """`clients/oci.py` is `clients.oci`; a package's `__init__.py` has the package's name."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def targets(node: ast.stmt, importer: str, *, is_package: bool) -> Iterator[str]:
    """The absolute names that an import statement may import."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = [PACKAGE, *importer.split(".")] if importer != "__init__" else [PACKAGE]
        up = node.level - (1 if is_package else 0)
        start = base[: len(base) - up] if node.level else []
        whole = ".".join([*start, *([node.module] if node.module else [])])
        yield from (f"{whole}.{alias.name}" for alias in node.names)


def statements(node: ast.AST, when: When = "on import") -> Iterator[tuple[ast.stmt, When]]:
    """Every statement below the node, with the time at which it is run."""
    for child in ast.iter_child_nodes(node):
        now: When = when
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            now = "in a function" if when == "on import" else when
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            now = "for types"
        if isinstance(child, ast.stmt):
            yield child, now
        yield from statements(child, now)


def imports(package: Path) -> list[Import]:
    """Every import in the package, at any depth."""
    found: list[Import] = []
    for path in sorted(package.rglob("*.py")):
        importer = module_name(path, package)
        for node, when in statements(ast.parse(path.read_text())):
            names = targets(node, importer, is_package=path.name == "__init__.py")
            found.extend(Import(importer, name, when) for name in names)
    return found


def own(found: Iterable[Import]) -> Iterator[Import]:
    """The imports of the package's own modules, their targets relative to the package."""
    for one in found:
        if one.target.startswith(f"{PACKAGE}."):
            yield Import(one.importer, one.target.removeprefix(f"{PACKAGE}."), one.when)


# The rules --------------------------------------------------------------------------------------


def upwards(found: Iterable[Import]) -> list[str]:
    """Imports that do not go down the layers, or that know more than they should."""
    broken = []
    for one in own(found):
        above, below = part(one.importer), part(one.target)
        if row(one.importer) is None:
            broken.append(f"{one}: give {above} a place in LAYERS")
        elif above != below and not (
            goes_down(one) and inside(one.target, KNOWS_ONLY.get(above, {below}))
        ):
            broken.append(str(one))
    return broken


def between_engines(found: Iterable[Import]) -> list[str]:
    """Imports of one engine by another."""
    return [
        str(one)
        for one in own(found)
        for engine in ENGINES
        if inside(one.importer, {engine}) and inside(one.target, ENGINES - {engine})
    ]


def of_pytest(found: Iterable[Import]) -> list[str]:
    """Imports of pytest where it has no business."""
    names = {"pytest", "_pytest", "xdist"}
    return [
        str(one)
        for one in found
        if inside(one.target, names) and not inside(one.importer, MAY_IMPORT_PYTEST)
    ]


def heavy(found: Iterable[Import]) -> list[str]:
    """Imports of heavy libraries, or of modules that import them, as soon as a module is loaded."""
    lazy = {f"{PACKAGE}.{name}" for name in HEAVY_MODULES}
    return [
        str(one)
        for one in found
        if one.when == "on import"
        and inside(one.target, HEAVY | lazy)
        and one.importer not in HEAVY_MODULES
    ]


def star(paths: Iterable[Path]) -> list[str]:
    """Files with a star import."""
    return [
        str(path)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    ]


def too_long(paths: Iterable[Path]) -> list[str]:
    """Files that are two ideas."""
    lengths = {path: len(path.read_text().splitlines()) for path in paths}
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > LONGEST_FILE]


def meaningless(paths: Iterable[Path]) -> list[str]:
    """Files and directories that are not named for what is in them."""
    return [str(path) for path in paths if NAMES_THAT_SAY_NOTHING & {path.stem, path.parent.name}]


def private(paths: Iterable[Path]) -> list[str]:
    """Lines that name a package registry's host or a path of one machine."""
    return [
        f"{path}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if PRIVATE.search(line)
    ]


# The code keeps them ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package_imports() -> list[Import]:
    return imports(ROOT / PACKAGE)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files under version control, without those deleted in the work tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the tracked files are not known")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sources(tracked: list[Path]) -> list[Path]:
    return [path for path in tracked if path.suffix == ".py"]


@pytest.mark.parametrize("rule", [upwards, between_engines, of_pytest, heavy])
def test_imports_keep_to_the_design(rule: ImportRule, package_imports: list[Import]) -> None:
    assert not (broken := rule(package_imports)), "\n".join(broken)


@pytest.mark.parametrize("rule", [star, too_long, meaningless])
def test_sources_keep_to_the_house_rules(rule: FileRule, sources: list[Path]) -> None:
    assert not (broken := rule(sources)), "\n".join(broken)


def test_type_checkers_see_the_public_names_where_they_are_at_home() -> None:
    stub = ast.parse((ROOT / PACKAGE / "__init__.pyi").read_text())
    shown = {
        one.name: str(statement.module).removeprefix(f"{PACKAGE}.")
        for statement in stub.body
        if isinstance(statement, ast.ImportFrom)
        for one in statement.names
        if one.asname == one.name
    }
    assert shown == vars(pytest_registry)["_MODULES"]


def test_no_file_names_a_package_registry_or_a_path_of_one_machine(tracked: list[Path]) -> None:
    assert not (broken := private(tracked)), "\n".join(broken)


# And the rules find what breaks them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (upwards, "errors", "from pytest_registry import settings"),
        (upwards, "oci/names", "def f():\n    from pytest_registry.security import tls"),
        (upwards, "clients/oci", "import pytest_registry.server.routes"),
        (upwards, "clients/oci", "from ..server import routes"),
        (upwards, "server/__init__", "from ..limits import policy"),
        (upwards, "clients/oci", "from pytest_registry.images.engine import EngineImage"),
        (upwards, "engines/__init__", "from .. import plugin"),
        (upwards, "novelty", "from pytest_registry import errors"),
        (between_engines, "engines/container", "from . import embedded"),
        (between_engines, "engines/external", "from pytest_registry.engines.embedded import X"),
        (of_pytest, "settings", "import typing\nif typing.TYPE_CHECKING:\n    import pytest"),
        (of_pytest, "report/html", "from _pytest.config import Config"),
        (heavy, "clients/oci", "import urllib3.exceptions"),
        (heavy, "registry", "try:\n    import docker\nexcept ImportError:\n    pass"),
        (heavy, "server/app", "from http import server"),
        (heavy, "registry", "from pytest_registry.clients.docker_sdk import connect"),
    ],
)
def test_an_import_against_the_design_is_found(
    rule: ImportRule, module: str, source: str, tmp_path: Path
) -> None:
    assert rule(imports(package_with(tmp_path, module, source)))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("server/app", "from pytest_registry.oci import names\nfrom .. import errors\nimport json"),
        ("engines/select", "def f():\n    from pytest_registry.engines import embedded, external"),
        ("clients/docker_sdk", "import docker\nfrom .headers import retry_after"),
        (
            "registry",
            "def f():\n    from pytest_registry.clients import docker_sdk\n    import docker",
        ),
        ("clients/oci", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import urllib3"),
        ("clients/oci", "from pytest_registry.images.source import Source"),
        ("images/engine", "from pytest_registry.clients import http"),
        ("report/terminal", "import pytest"),
    ],
)
def test_an_import_as_designed_is_let_through(module: str, source: str, tmp_path: Path) -> None:
    found = imports(package_with(tmp_path, module, source))
    assert [rule(found) for rule in (upwards, between_engines, of_pytest, heavy)] == [[]] * 4


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (star, "names.py", "from os import *"),
        (too_long, "long.py", "\n" * 401),
        (meaningless, "utils.py", ""),
        (meaningless, "helpers/names.py", ""),
        (private, "setup.md", "pip install --index-url https://pypi" + ".org/simple"),
        (private, "Makefile", "cd /work" + "/main"),
    ],
)
def test_a_file_against_the_house_rules_is_found(
    rule: FileRule, name: str, source: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    assert rule([path])


def package_with(directory: Path, module: str, source: str) -> Path:
    """A package with one module."""
    path = directory / PACKAGE / f"{module}.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    return directory / PACKAGE
