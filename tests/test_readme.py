"""The README's tables say what the code says.

`python tests/test_readme.py` writes them anew.
"""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import pytest

from pytest_registry.options import OPTIONS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FIXTURES = ROOT / "pytest_registry" / "fixtures.py"


def options_table() -> str:
    """The options as a table."""
    rows = [
        f"| `{option.flag}{'' if option.is_switch else ' ' + option.metavar}` "
        f"| {shown(option.default)} | {option.help} |"
        for option in OPTIONS
    ]
    return "\n".join(["| option | default | what it does |", "| --- | --- | --- |", *rows])


def shown(default: object) -> str:
    """A default as it is written on the command line."""
    if isinstance(default, bool) or default is None:
        return ""
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def fixtures_table() -> str:
    """The fixtures with the first sentence of their docstrings."""
    functions = [
        node
        for node in ast.parse(FIXTURES.read_text()).body
        if isinstance(node, ast.FunctionDef) and any(map(is_fixture, node.decorator_list))
    ]
    rows = [f"| `{node.name}` | {summary(node)} |" for node in functions]
    return "\n".join(["| fixture | what it is |", "| --- | --- |", *rows])


def is_fixture(decorator: ast.expr) -> bool:
    """Whether a decorator is `pytest.fixture`, called or not."""
    return "pytest.fixture" in ast.unparse(decorator)


def summary(node: ast.FunctionDef) -> str:
    """The docstring's first paragraph in one line, less its full stop."""
    docstring = ast.get_docstring(node)
    assert docstring, f"{node.name} has no docstring: it would be missing from the manual"
    return " ".join(docstring.split("\n\n")[0].split()).removesuffix(".")


def with_tables(text: str) -> str:
    """The README with both tables made anew."""
    for name, table in {"fixtures": fixtures_table(), "options": options_table()}.items():
        text = re.sub(
            rf"(<!-- {name}: .*? -->\n).*?(<!-- end {name} -->)",
            lambda found, table=table: f"{found[1]}{table}\n{found[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


def test_the_readme_shows_every_option_and_fixture_as_the_code_has_them() -> None:
    text = README.read_text()
    assert text == with_tables(text), "run `python tests/test_readme.py` to write the tables anew"


def test_every_snippet_of_the_readme_is_a_file_that_is_run() -> None:
    run = "\n".join(path.read_text() for path in (ROOT / "examples").rglob("test_*.py"))
    for snippet in snippets():
        for block in re.split(r"\n\n\n", snippet):
            if not block.startswith(("import ", "from ")):
                assert block.strip() in run, f"not in examples/:\n{block}"


def snippets() -> list[str]:
    """The README's Python."""
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("snippet", snippets(), ids=lambda text: text.partition("def ")[2][:30])
def test_a_snippet_of_the_readme_imports_what_it_uses(snippet: str) -> None:
    tree = ast.parse(snippet)
    imports: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    known: dict[str, object] = dict(vars(builtins))
    exec(compile(ast.Module(imports, []), "README.md", "exec"), known)
    used: set[str] = set()
    bound = set(known)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
    assert used - bound == set()


def test_every_fixture_name_begins_with_registry() -> None:
    names = re.findall(r"^\| `(\w+)` \|", fixtures_table(), flags=re.MULTILINE)
    assert names
    assert all(name.startswith("registry") for name in names)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
