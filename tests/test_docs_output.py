"""What the tutorial and the guides print as output is what their commands print.

`python tests/test_docs_output.py` writes `docs/output/` anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "docs" / "output"
SUITE = ROOT / "examples" / "tutorial"
REGISTRY_IMAGE = "pytest-registry-ci/registry:3"
NGINX_IMAGE = "pytest-registry-ci/nginx:1"

WITH_AN_ENGINE = {
    "first": "pytest -v test_1_first.py",
    "walk-through": "pytest -v test_2_walk_through.py",
}
WITHOUT = {
    "embedded": "pytest -v --registry-engine=embedded test_1_first.py",
    "without-docker": "DOCKER_HOST=unix:///nowhere pytest -v test_1_first.py",
    "parallel": "pytest -v -n 2 --registry-engine=embedded test_3_parallel.py",
    "limit": "pytest -v --registry-engine=embedded --registry-pull-limit=2 test_4_limit.py",
    "fault": "pytest -v test_5_fault.py",
    "failing": "pytest --tb=line --registry-engine=embedded failing.py",
    "kept": "pytest -q --registry-engine=embedded --registry-keep test_1_first.py",
}
COMMANDS = WITH_AN_ENGINE | WITHOUT
FAILS = {WITHOUT["failing"]: 1}
"""The exit status of a command that is to fail."""

AS_READERS_SEE_IT = (
    (re.escape(REGISTRY_IMAGE), "registry:3"),
    (re.escape(NGINX_IMAGE), "nginx"),
    (r"[^\s=]*/suite-\w+/state/pytest-registry-\d+", "/tmp/pytest-registry-1000"),
    (r"[^\s=]*/suite-\w+/", "/home/me/suite/"),
    (r"[^\s=]*/(?=pytest_registry/\w+/)", ".../"),
)
"""What is this machine's own, and what stands for it."""

VARIES = (
    (r"(?m)^(created|scheduling|collecting|bringing|rootdir|plugins).*\n", ""),
    (r"\b[0-9]+\.[0-9]+\b", "0.0"),
    (r"\b[0-9a-f]+(-[0-9a-f]{4,})+\b", "H"),  # a run, of a process of any number; an upload
    (r"\b[0-9a-f]{4,}\b", "H"),
    (r"[0-9]+", "0"),
    (r"\b0 workers.*", ""),
    (r"[=_-]{3,}", "="),
    (r"[ ]+", " "),
    (r"\b[kM]?B\b", "B"),
    (r"(?<=0 pull)(s?), 0\.0 B", r"\1"),  # an engine that has the layers pulls none
)
"""What may differ from run to run."""


def printed(command: str) -> str:
    """What a command prints in a copy of the tutorial's suite, without pytest's header."""
    before, name, arguments = command.partition("pytest ")
    with tempfile.TemporaryDirectory(prefix="suite-") as place:
        suite = Path(shutil.copytree(SUITE, place, dirs_exist_ok=True))
        environment = surroundings(f"{place}/state")
        if command in WITHOUT.values():
            environment["DOCKER_HOST"] = "unix:///nowhere"  # an engine there would be used to pull
        environment |= dict(each.split("=", 1) for each in before.split())
        try:
            done = subprocess.run(
                [sys.executable, "-m", name.strip(), *arguments.split(), "-p", "no:cacheprovider"],
                cwd=suite,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == FAILS.get(command, 0), done.stdout + done.stderr
        finally:
            remove = [sys.executable, "-m", "pytest_registry", "remove", "--all"]
            subprocess.run(remove, env=environment, capture_output=True, check=True)
    return f"$ {command}\n{shown(done.stdout)}"


def surroundings(state: str) -> dict[str, str]:
    """The environment of a reader: our images stand in for Docker Hub's."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ
    }
    return kept | {
        "PYTEST_REGISTRY_IMAGE": REGISTRY_IMAGE,
        "PYTEST_REGISTRY_SAMPLE_IMAGE": NGINX_IMAGE,
        "PYTEST_REGISTRY_STATE_DIR": state,
        "COLUMNS": "80",
    }


def shown(text: str) -> str:
    """The output as readers get it."""
    for pattern, instead in AS_READERS_SEE_IT:
        text = re.sub(pattern, instead, text)
    header = r"(?m)^(platform|cachedir|hypothesis|rootdir|plugins|created|scheduling).*\n"
    text = re.sub(header, "", text)
    return re.sub(r"(?m)^(collecting \.\.\. |bringing .*\n+)", "", text)


def shape(text: str) -> list[str]:
    """What two outputs of a command have in common; xdist's workers print in any order."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return sorted(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.container_engine
@pytest.mark.parametrize("name", WITH_AN_ENGINE)
def test_output_of_commands_that_need_an_engine_is_what_the_site_shows(name: str) -> None:
    assert shape((OUTPUT / f"{name}.txt").read_text()) == shape(printed(COMMANDS[name]))


@pytest.mark.parametrize("name", WITHOUT)
def test_output_is_what_the_site_shows(name: str) -> None:
    assert shape((OUTPUT / f"{name}.txt").read_text()) == shape(printed(COMMANDS[name]))


def test_every_output_of_the_site_is_one_that_is_compared() -> None:
    assert {path.stem for path in OUTPUT.glob("*.txt")} == set(COMMANDS)
    pages = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    assert [name for name in COMMANDS if f"output/{name}.txt" not in pages] == []


def test_the_command_for_a_kept_registry_is_that_of_the_output_above_it() -> None:
    page = (ROOT / "docs" / "howto" / "keep-the-registry.md").read_text()
    [(host, config)] = re.findall(
        r"kept: http://(\S+) .* logged in with (\S+)", (OUTPUT / "kept.txt").read_text()
    )
    assert f"\n{config} \\\n    docker pull {host}/samples/nginx\n" in page


def test_every_line_of_the_summary_that_is_explained_stands_in_the_output_above() -> None:
    page = (ROOT / "docs" / "howto" / "read-the-log.md").read_text()
    shown, _, table = page.partition("## The summary\n")[2].partition("| line | means |")
    [name] = re.findall(r"output/([\w-]+)\.txt", shown)
    explained = re.findall(r"(?m)^\| `([^`]+?)(?:\.\.\.)?` \|", table)
    lines = (OUTPUT / f"{name}.txt").read_text().splitlines()
    assert len(explained) > 2
    assert [each for each in explained if not any(line.startswith(each) for line in lines)] == []


if __name__ == "__main__":
    OUTPUT.mkdir(exist_ok=True)
    for name, command in COMMANDS.items():
        (OUTPUT / f"{name}.txt").write_text(printed(command))
