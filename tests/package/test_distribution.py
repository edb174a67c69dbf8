"""What users download: the wheel and the sdist, built here and looked into."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return dict(tomllib.load(file)["project"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the sdist, built by hatchling itself, without a network."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", directory], cwd=ROOT, check=True
    )
    return directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> dict[str, bytes]:
    """The wheel's files by name."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    """The names of the sdist's files, below its top directory."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    return Parser().parsestr(wheel_file(wheel, "METADATA"))


def wheel_file(wheel: dict[str, bytes], name: str) -> str:
    """The text of a file in the wheel's `.dist-info`."""
    return next(
        data for path, data in wheel.items() if path.endswith(f".dist-info/{name}")
    ).decode()


def sources() -> set[str]:
    """The package's own files in the work tree."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / "pytest_registry").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_the_package_and_the_page_that_errors_name(
    wheel: dict[str, bytes],
) -> None:
    page = "pytest_registry/troubleshooting.md"
    assert {name for name in wheel if ".dist-info/" not in name} == {*sources(), page}
    assert wheel[page] == (ROOT / "docs" / "troubleshooting.md").read_bytes()


def test_who_installed_the_wheel_can_have_an_error_explained(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        archive.extractall(tmp_path)
    told = subprocess.run(
        [sys.executable, "-m", "pytest_registry", "explain", "no-trustme"],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith("no-trustme: trustme is not installed")


def test_the_wheel_is_marked_as_typed(wheel: dict[str, bytes]) -> None:
    assert "pytest_registry/py.typed" in wheel


def test_pytest_finds_the_plugin_through_one_entry_point(wheel: dict[str, bytes]) -> None:
    lines = wheel_file(wheel, "entry_points.txt").split("\n")
    assert [line for line in lines if line] == ["[pytest11]", "registry = pytest_registry.plugin"]


def test_the_wheel_carries_its_licence(wheel: dict[str, bytes]) -> None:
    assert "MIT License" in wheel_file(wheel, "licenses/LICENSE")


def test_the_sdist_can_be_tested_and_built_again(sdist: set[str]) -> None:
    assert sources() <= sdist
    assert {
        "pyproject.toml",
        "conftest.py",
        "tests/conftest.py",
        "tests/package/test_distribution.py",
        "tools/engine",
        "docs/tutorial.md",
        "docs/output/first.txt",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
    } <= sdist


def test_the_sdist_holds_nothing_of_one_work_tree(sdist: set[str]) -> None:
    strangers = (".venv/", ".git/", "dist/", "build/", ".ci/", ".mypy_cache/")
    assert not [name for name in sdist if name.startswith(strangers) or name.endswith(".pyc")]


def test_the_metadata_names_the_project_and_its_pythons(
    metadata: Message, project: dict[str, Any]
) -> None:
    assert metadata["Name"] == "pytest-registry"
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Framework :: Pytest" in metadata.get_all("Classifier", [])


def test_the_metadata_has_the_readme_as_its_description(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_only_the_declared_requirements_are_installed_with_it(
    metadata: Message, project: dict[str, Any]
) -> None:
    required = metadata.get_all("Requires-Dist", [])
    assert sorted(one for one in required if "extra ==" not in one) == sorted(
        project["dependencies"]
    )


def test_the_command_tells_the_version(project: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "pytest_registry", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == f"pytest-registry {project['version']}\n"
