"""`python -m pytest_registry COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "serve": "pytest_registry.server.serve",
    "remove": "pytest_registry.sharing.removal",
    "sweep": "pytest_registry.sharing.sweep",
    "explain": "pytest_registry.troubleshooting",
}
"""A command's name and its module, which has HELP, add_arguments(parser) and run(arguments)."""

UNREAD = 128 + 13
"""The exit status of what SIGPIPE ends, as shells tell it."""


class Help(argparse.HelpFormatter):
    """As wide as $COLUMNS, or 80. To ask the terminal, argparse imports all that compresses."""

    def __init__(self, prog: str) -> None:
        columns = os.environ.get("COLUMNS", "")
        super().__init__(prog, width=int(columns) - 2 if columns.isdecimal() else 78)


class Version(argparse.Action):
    """Print the installed version and leave; it is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Raises SystemExit."""
        from importlib.metadata import version

        print(f"pytest-registry {version('pytest-registry')}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status. Only that command's module is imported."""
    arguments = sys.argv[1:] if arguments is None else arguments
    chosen = [name for name in arguments[:1] if name in COMMANDS] or list(COMMANDS)
    parser = argparse.ArgumentParser(
        prog="python -m pytest_registry", description=__doc__, formatter_class=Help
    )
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in chosen:
        module = import_module(COMMANDS[name])
        command = commands.add_parser(
            name, help=module.HELP, description=module.HELP, formatter_class=Help
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


def as_command() -> int:
    """Run `main`, and end like any other command where nobody reads on, as behind `| head -1`."""
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left once more as it ends, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


if __name__ == "__main__":
    sys.exit(as_command())
