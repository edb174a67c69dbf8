"""What the site and the README show is run, and names nothing that is not there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pytest_registry import fixtures
from pytest_registry.__main__ import COMMANDS, main
from pytest_registry.options import OPTIONS
from tests.conftest import MARK, PYTEST

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "examples" / "README.md",
]
GENERATED = [
    DOCS / "reference" / f"{name}.md"
    for name in ("fixtures", "marks", "options", "commands", "errors")
]
"""Pages that are there once the site has been built."""

SUITES = ("docs", "tutorial", "breaking", "anywhere")
"""Below examples/; `quickstart` is run by CI, `retrying_client` by a test of its own."""
WITH_AN_ENGINE = SUITES[:2]

PASSED_ON = ("PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", MARK)
"""Of the environment, to a command that is to have no other settings."""

NO_OPTIONS = {"PYTEST_REGISTRY_USERNAME", "PYTEST_REGISTRY_PASSWORD"}
"""Settings that are read from the environment only."""


def passes(names: Sequence[str], state: Path, **settings: str) -> str:
    """Run the suites of which the snippets are parts; what is said at the end.

    In the directory `state` the limits of registries stay that other runs may use as well.
    """
    suites = [str(ROOT / "examples" / name) for name in names]
    done = subprocess.run(
        [*PYTEST, "-q", "-p", "no:cacheprovider", *suites],
        env={**os.environ, "PYTEST_REGISTRY_STATE_DIR": str(state), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_every_snippet_passes_without_an_engine(
    tmp_path: Path, leaves_nothing_behind: None
) -> None:
    assert "skipped" in passes(SUITES, tmp_path / "state", DOCKER_HOST="unix:///none")
    [ours] = (tmp_path / "state").iterdir()
    assert [path.name for path in ours.iterdir()] == ["limits"]


def test_the_readmes_first_command_needs_neither_an_engine_nor_a_network(
    tmp_path: Path, leaves_nothing_behind: None
) -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(
        r"`(\w+\.py)`.*?```python\n(.*?)```\n\n```bash\n(.*?)\n```", readme, re.DOTALL
    )
    assert found
    name, test, command = found.groups()
    (tmp_path / name).write_text(test)
    nowhere = "http://127.0.0.1:9"  # the discard port, where nobody listens
    done = subprocess.run(
        [*PYTEST, "-p", "no:cacheprovider", *command.removeprefix("pytest ").split()],
        cwd=tmp_path,
        env={
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **{f"{scheme}_proxy": nowhere for scheme in ("http", "https", "all")},
            "DOCKER_HOST": "unix:///none",
            "PYTEST_REGISTRY_STATE_DIR": str(tmp_path / "state"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "registry: embedded" in done.stdout


@pytest.mark.container_engine
def test_every_snippet_passes_with_an_engine(
    tmp_path: Path, ci_registry_image: str, ci_nginx_image: str, leaves_nothing_behind: None
) -> None:
    summary = passes(
        WITH_AN_ENGINE,
        tmp_path / "state",
        PYTEST_REGISTRY_IMAGE=ci_registry_image,
        PYTEST_REGISTRY_SAMPLE_IMAGE=ci_nginx_image,
    )
    assert "skipped" not in summary


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_no_option_that_is_not_there(page: Path) -> None:
    text = page.read_text()
    flags = set(re.findall(r"--registry-[a-z-]*[a-z]", text))
    variables = set(re.findall(r"PYTEST_REGISTRY_[A-Z_]*[A-Z]", text))
    assert flags <= {option.flag for option in OPTIONS}
    assert variables <= {option.env for option in OPTIONS} | NO_OPTIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_no_fixture_mark_or_ini_value_that_is_not_there(page: Path) -> None:
    known = {name for name in vars(fixtures) if name.startswith("registry_")}
    known |= fixtures.BEHIND_MARKS.keys() | {option.ini for option in OPTIONS}
    named = set(re.findall(r"(?:`|^|\.mark\.)(registry_[a-z_]+)", page.read_text(), re.MULTILINE))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_to_files_that_are_there(page: Path) -> None:
    targets = re.findall(r"\]\(((?!https?:)[^)#\s]+)", page.read_text())
    files = [(page.parent / target).resolve() for target in targets]
    assert [file for file in files if not file.exists() and file not in GENERATED] == []


def commands() -> Iterator[tuple[str, str]]:
    """Every `python -m pytest_registry ...` that a page shows, and the page's name."""
    for page in PAGES:
        for found in re.findall(r"python -m pytest_registry (.+)", page.read_text()):
            yield page.name, found.partition("`")[0].partition("#")[0].strip()


def test_every_command_that_a_page_shows_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {(page, text) for page, text in commands() if text and text.split()[0] in COMMANDS}
    assert len(shown) > 8
    for page, text in shown:
        options = re.findall(r"(--[a-z-]+)", text)
        with pytest.raises(SystemExit):
            main([text.split()[0], "--help"])
        assert set(options) <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)), (page, text)
