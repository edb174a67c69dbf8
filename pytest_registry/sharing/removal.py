"""`python -m pytest_registry remove`: kept registries, listed and removed."""

from __future__ import annotations

import argparse
import os
import sys

from pytest_registry.errors import RegistryError
from pytest_registry.settings import Settings
from pytest_registry.sharing import kept, state
from pytest_registry.sharing.run import Run, runs_path

HELP = "Remove registries that --registry-keep left running; without names, list them."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the names of runs, or --all."""
    parser.add_argument(
        "names", metavar="RUN", nargs="*", help="a run's name, as the list shows it"
    )
    parser.add_argument("--all", action="store_true", help="remove every kept registry")
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        default=os.environ.get("PYTEST_REGISTRY_STATE_DIR"),
        help="as --registry-state-dir of the run",
    )


def run(arguments: argparse.Namespace) -> int:
    """List or remove; status 1 where something was not found or would not go."""
    try:
        chosen = {"state_dir": arguments.state_dir or None}
        settings = Settings.defaults().changed("--state-dir", **chosen)
        runs = kept.kept_runs(runs_path(settings))
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 1
    wanted = {each.id for each in runs} if arguments.all else set(arguments.names)
    if not wanted:
        for each in runs:
            print("\n".join(_describe(each)))
        if not runs:
            print("no registry was kept")
        return 0
    unknown = wanted - {each.id for each in runs}
    for name in sorted(unknown):
        print(f"no registry was kept by a run {name}", file=sys.stderr)
    gone = [_remove(each) for each in runs if each.id in wanted]
    return 0 if all(gone) and not unknown else 1


def _describe(run: Run) -> list[str]:
    endpoint = state.read_endpoint(run)
    return [] if endpoint is None else kept.how_to_use(run, endpoint)


def _remove(run: Run) -> bool:
    gone = kept.remove(run)
    print(f"removed {run.id}" if gone else f"{run.id} does not end", file=sys.stderr)
    return gone
