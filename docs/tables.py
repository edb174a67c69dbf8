"""Pages of the reference that are generated from the code."""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from importlib import import_module
from pathlib import Path

from pytest_registry import errors
from pytest_registry.__main__ import COMMANDS
from pytest_registry.fixtures import BEHIND_MARKS
from pytest_registry.options import OPTIONS, Option
from pytest_registry.plugin import MARKERS

FIXTURES = Path(sys.modules["pytest_registry"].__path__[0]) / "fixtures.py"


def write(directory: Path) -> None:
    """Write the generated pages below `directory`; they are not kept in the repository."""
    for name, content in {
        "options": options(),
        "fixtures": fixtures(),
        "marks": marks(),
        "commands": commands(),
        "errors": errors_page(),
    }.items():
        (directory / f"{name}.md").write_text(content, encoding="utf-8")


def options() -> str:
    """The options, one heading each so that they can be linked."""
    parts = [
        "# Options",
        "The command line beats the environment, that beats the ini file, that the default. In the"
        " table `[tool.pytest]` of `pyproject.toml`, which pytest 9 and newer read, every value"
        ' is a text: `registry_pull_limit = "2"`.',
    ]
    parts += [_option(option) for option in OPTIONS]
    return "\n\n".join(parts) + "\n"


def _option(option: Option) -> str:
    value = "" if option.is_switch else f" {option.metavar}"
    shown = option.default_shown
    default = f" Default: `{shown}`." if shown else ""
    return (
        f"## `{option.flag}{value}`\n\n{option.help}{default}\n\n"
        f"Environment: `{option.env}`. Ini file: `{option.ini}`."
    )


def fixtures() -> str:
    """Every fixture with its docstring and scope."""
    parts = ["# Fixtures", "`pytest --fixtures` prints the same."]
    for node in ast.parse(FIXTURES.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            decorator = ast.unparse(node.decorator_list[0])
            if decorator.startswith("pytest.fixture"):
                scope = "session" if "session" in decorator else "function"
                parts.append(f"## `{node.name}`\n\n*Scope: {scope}.* {ast.get_docstring(node)}")
    return "\n\n".join(parts) + "\n"


def marks() -> str:
    """The marks as `pytest --markers` has them, each with the fixture behind it."""
    parts = ["# Marks", "`pytest --markers` prints the same."]
    for marker in MARKERS:
        signature, _, text = marker.partition(": ")
        name = signature.partition("(")[0]
        parts.append(
            f"## `{name}`\n\n`@pytest.mark.{signature}`\n\n{text[0].upper()}{text[1:]}."
            f" The fixture behind it is `{BEHIND_MARKS[name]}`."
        )
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """The commands of `python -m pytest_registry`, as their `--help` has them."""
    parts = ["# Commands", "`python -m pytest_registry COMMAND --help` prints the same."]
    for name, place in COMMANDS.items():
        module = import_module(place)
        parser = argparse.ArgumentParser(f"python -m pytest_registry {name}", add_help=False)
        module.add_arguments(parser)
        rows = [_argument(each, parser) for each in parser._actions]
        table = ["| argument | what it does |", "| --- | --- |", *rows]
        help_text = f"{module.HELP[0].upper()}{module.HELP[1:]}".rstrip(".")
        parts.append(f"## `{name}`\n\n{help_text}.\n\n" + "\n".join(table))
    return "\n\n".join(parts) + "\n"


def _argument(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    name = " ".join(filter(None, (*action.option_strings, str(action.metavar or ""))))
    filled = (action.help or "") % {"default": action.default, "prog": parser.prog}
    return f"| `{name}` | {filled} |"


def errors_page() -> str:
    """The tree of errors with their docstrings."""
    parts = ["# Errors", inspect.getdoc(errors) or ""]
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.RegistryError):
            bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
            parts.append(f"## `{name}`\n\n*A kind of {bases}.* {inspect.getdoc(kind)}")
    return "\n\n".join(parts) + "\n"
