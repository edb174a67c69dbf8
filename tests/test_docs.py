"""The documentation builds without a warning, its snippets are run, and its CI files are valid."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import pytest_registry
from pytest_registry import errors

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = Path(pytest_registry.__path__[0])
BIN = Path(sys.executable).parent
SCHEMAS = {
    "github": "github-workflows",
    "github-matrix": "github-workflows",
    "gitlab": "gitlab-ci",
    "gitlab-parallel": "gitlab-ci",
    "azure": "azure-pipelines",
}
LEAST_MAJORS = {"actions/checkout": 5, "actions/setup-python": 6, "actions/upload-artifact": 6}
"""The first of each that asks for Node 24: GitHub's runners have no Node 20 since 2026-09-23."""
HELD = {
    "client": "OciClient",
    "credentials": "Credentials",
    "endpoint": "Endpoint",
    "limits": "Limits",
    "requests": "Requests",
}
"""What `registry.NAME` is, as the reference calls it."""
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.RegistryError)
}
"""The kinds of errors by name."""


@pytest.fixture(autouse=True)
def needs_the_sources() -> None:
    """The site is built from a checkout, with the tools of the docs group."""
    pytest.importorskip("sphinx")


def test_the_site_builds_with_warnings_as_errors(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(tmp_path)],
        env={"PATH": str(BIN), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "registry_nginx_container" in (tmp_path / "reference" / "fixtures.html").read_text()
    assert dead_links(tmp_path) == []
    assert pages_without_hyphens(tmp_path) == []


def pages_without_hyphens(site: Path) -> list[str]:
    """Pages where an option's two hyphens became a dash, so that it cannot be copied."""
    texts = {page.name: page.read_text() for page in site.rglob("*.html")}
    assert "--registry-engine" in texts["options.html"]
    return [name for name, text in texts.items() if re.search(r"[\u2013\u2014]\w+-\w", text)]


def dead_links(site: Path) -> list[str]:
    """Links within the site that lead nowhere: to no page, or to no place in one."""
    texts = {page: page.read_text() for page in site.rglob("*.html")}
    places = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in texts.items()}
    dead = []
    for page, text in texts.items():
        for target, place in re.findall(r'href="([^"#:?]*\.html|)(?:#([^"]*))?"', text):
            found = (page.parent / target).resolve() if target else page
            if found not in texts or (place and place not in places[found]):
                dead.append(f"{page}: {target}#{place}")
    return dead


def test_every_python_snippet_of_the_site_is_included_from_a_file_that_is_run() -> None:
    included = set()
    for page in DOCS.rglob("*.md"):
        text = page.read_text()
        assert "```python" not in text, f"{page} has a snippet that no test runs"
        names = re.findall(r"{literalinclude} (\S+\.py)", text)
        included |= {(page.parent / name).resolve() for name in names}
    assert included
    assert all(path.is_relative_to(ROOT / "examples") for path in included)


def test_every_public_name_stands_in_the_reference() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    names = set(pytest_registry.__all__) - set(vars(errors))  # they have a page of their own
    assert names <= set(re.findall(r"auto(?:class|function):: \S+\.(\w+)", page))
    assert [name for name in names if f"`{name}`" not in page] == []


def described() -> dict[str, set[str] | None]:
    """The members that the reference describes, by class; None where it describes all."""
    page = (DOCS / "reference" / "api.md").read_text()
    found = re.findall(r"autoclass:: \S+\.(\w+)\n(?:   :members:([^\n]*)\n)?", page)
    return {
        name: {each.strip() for each in names.split(",")} if names else None
        for name, names in found
    }


def test_every_attribute_of_what_the_registry_holds_that_a_page_names_stands_in_the_reference() -> (
    None
):
    pages = "".join(page.read_text() for page in [*DOCS.rglob("*.md"), ROOT / "README.md"])
    examples = "".join(path.read_text() for path in (ROOT / "examples").rglob("*.py"))
    named = set(re.findall(rf"\bregistry\.({'|'.join(HELD)})\.(\w+)", pages + examples))
    assert ("endpoint", "reason") in named
    known = {of: described()[kind] for of, kind in HELD.items()}
    missing = [f"registry.{of}.{name}" for of, name in named if name not in (known[of] or {name})]
    assert missing == []


def house() -> list[list[str]]:
    """The places that each row of CONTRIBUTING's map names."""
    _, _, rest = (ROOT / "CONTRIBUTING.md").read_text().partition("| to change | look in |\n")
    rows = [row.split(" | ")[1] for row in rest.partition("\n\n")[0].splitlines()[1:]]
    places = [re.findall(r"`([^`\s]+(?:/|\.\w+|/\w+))`", row) for row in rows]
    assert all(places)
    return places


def test_every_place_in_the_map_of_the_house_is_there() -> None:
    """A place is named from the root, from the package, or from the row's first one."""
    missing = [
        place
        for row in house()
        for place in row
        if not place.startswith(".")  # the sdist has no .ci
        and not any((base / place).exists() for base in (ROOT, PACKAGE, ROOT / row[0]))
    ]
    assert missing == []


def test_every_part_of_the_package_is_in_the_map_of_the_house() -> None:
    named = {PACKAGE / place.removeprefix("pytest_registry/") for row in house() for place in row}
    parts = {path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert len(parts) > 5
    assert (parts | set(PACKAGE.glob("*.py"))) - named == set()


@pytest.mark.parametrize(
    "path", sorted((DOCS / "before").glob("*.txt")), ids=lambda path: path.stem
)
def test_what_a_suite_was_before_is_python_too(path: Path) -> None:
    """Their libraries need Docker Hub, or a port of their own: they are shown and not run."""
    assert any(isinstance(node, ast.FunctionDef) for node in ast.parse(path.read_text()).body)


@pytest.mark.parametrize("name", SCHEMAS)
def test_ready_made_ci_files_follow_their_schemas(name: str) -> None:
    assert {path.stem for path in (DOCS / "ci").iterdir()} == set(SCHEMAS)
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--regex-variant", "python"),
            *("--builtin-schema", f"vendor.{SCHEMAS[name]}", str(DOCS / "ci" / f"{name}.yml")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name.startswith("github")])
def test_the_actions_of_a_ready_made_ci_file_run_where_node_20_is_gone(name: str) -> None:
    used = re.findall(r"uses: (\S+)@v(\d+)\n", (DOCS / "ci" / f"{name}.yml").read_text())
    assert used
    assert [action for action, major in used if int(major) < LEAST_MAJORS[action]] == []


class PagesOfRepositories(BaseHTTPRequestHandler):
    """GitLab's list of a project's repositories: 250 of them, in pages."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = parse_qs(parts.query)
        size, page = int(asked["per_page"][0]), int(asked["page"][0])
        known = parts.path == "/projects/7/registry/repositories"
        self.send_response(200 if known and self.headers["JOB-TOKEN"] == "token" else 404)
        self.end_headers()
        found = [{"path": f"group/{n}"} for n in range(250)][(page - 1) * size : page * size]
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def test_the_sweep_in_gitlabs_file_lists_the_repositories_of_every_page(tmp_path: Path) -> None:
    text = (DOCS / "ci" / "gitlab-parallel.yml").read_text()
    [script] = re.findall(r"    - \|\n((?:      .*\n)+)", text)
    with ThreadingHTTPServer(("127.0.0.1", 0), PagesOfRepositories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        project = {"CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}", "CI_PROJECT_ID": "7"}
        subprocess.run(
            ["sh", "-euc", re.sub(r"(?m)^ {6}", "", script)],
            env={
                **os.environ,
                **project,
                "CI_JOB_TOKEN": "token",
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "no_proxy": "127.0.0.1",
            },
            cwd=tmp_path,
            check=True,
        )
        server.shutdown()
    listed = (tmp_path / "repositories").read_text().split()
    assert listed == [f"group/{n}" for n in range(250)]


@pytest.mark.parametrize("name", ["github", "gitlab", "azure"])
def test_a_ready_made_ci_file_with_an_engine_fails_without_it(name: str) -> None:
    """With `auto` a job whose engine is away would test the embedded registry, and pass."""
    text = (DOCS / "ci" / f"{name}.yml").read_text()
    assert "PYTEST_REGISTRY_ENGINE: container" in text


def test_every_heading_of_troubleshooting_stands_in_an_error() -> None:
    texts = "\n".join(
        node.value
        for path in Path(pytest_registry.__path__[0]).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    headings = re.findall(r"^## (.+)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert headings.pop() == "What other programs say"
    assert [heading for heading in headings if heading not in texts] == []


def test_every_section_of_troubleshooting_has_a_name_of_its_own() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    headings = re.findall(r"^## .+$", page, re.MULTILINE)
    named = re.findall(r"^\(([\w-]+)\)=\n## ", page, re.MULTILINE)
    assert len(set(named)) == len(named) == len(headings)


def test_every_section_that_a_kind_of_error_names_is_there() -> None:
    named = {kind.section for kind in KINDS.values() if kind.section}
    assert len(named) > 5
    assert named - set(sections()) == set()


TOLD_BY_THEMSELVES = {"OptionError", "InvalidReference", "RegistryError"}
"""Kinds whose every message names what is accepted: one section is for all of them."""


def test_every_message_of_an_error_stands_in_the_section_that_the_error_names() -> None:
    texts = {name: plain(text) for name, text in sections().items()}
    missing = [
        f"{path.name}:{call.lineno}: {section}: {sorted(words)}"
        for path in Path(pytest_registry.__path__[0]).rglob("*.py")
        for call, section, words in raised(ast.parse(path.read_text()))
        if words and not any(begin(text) in texts.get(section, "") for text in words)
    ]
    assert missing == []


def sections() -> dict[str, str]:
    """The sections of the page, with their headings, by the name that errors call them by."""
    page = (DOCS / "troubleshooting.md").read_text()
    parts = re.split(r"^\(([\w-]+)\)=$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def raised(tree: ast.Module) -> Iterator[tuple[ast.Call, str, set[str]]]:
    """Each error that is made, its section, and the constant words of what was asked and happened.

    Those that tell by themselves what is accepted count only where they name a section.
    """
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or ast.unparse(call.func) not in KINDS:
                continue
            kind = ast.unparse(call.func)
            given = [each.value for each in call.keywords if each.arg == "section"]
            if given or kind not in TOLD_BY_THEMSELVES:
                section = ast.literal_eval(given[0]) if given else KINDS[kind].section
                texts = {text for each in call.args for text in constants(each, function)}
                yield call, section, {text for text in texts if len(text.strip()) >= SENTENCE}


def begin(text: str) -> str:
    """The first words of a message, which are enough to find it."""
    return " ".join(plain(text).split()[:5])


def plain(text: str) -> str:
    """The words of a text, with neither case nor punctuation."""
    return " ".join(re.sub(r"[:;,()]", " ", text.lower()).split())


SENTENCE = 12
"""Letters of what is a phrase, and no word in between."""


def constants(argument: ast.expr, function: ast.FunctionDef) -> Iterator[str]:
    """The constant texts of an argument, or of what the variable that it is was set to."""
    if isinstance(argument, ast.Name):
        for each in ast.walk(function):
            if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == argument.id:
                yield from constants(each.value, function)
        return
    for each in ast.walk(argument):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
