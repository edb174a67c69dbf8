"""Processor time of runs with and without the plugin, for plugin.py: `forked_runs.py ROUNDS`.

Each run is a child forked from this process, which has imported pytest and made one run without
the plugin before: so the 200 ms of pytest's own start, and their noise, are in no figure, while all
that the plugin imports and does is. This file imports nothing else, for what the parent has, a
child would not pay for.
"""

import gc
import os
import sys
from importlib.metadata import entry_points

import pytest

OTHERS = [each.name for each in entry_points(group="pytest11") if each.name != "registry"]
WITH = ["-q", *(f"-pno:{name}" for name in (*OTHERS, "cacheprovider"))]
WITHOUT = [*WITH, "-pno:registry"]


def processor_ms(arguments: list[str]) -> float:
    """Milliseconds of processor time that a run takes."""
    pid = os.fork()
    if not pid:
        os._exit(pytest.main(arguments))
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"pytest {arguments} ended with {status}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def main() -> None:
    """Print a line `WITH WITHOUT` for each round."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    processor_ms(WITH)  # writes the byte code that an installed package has
    pytest.main(WITHOUT)
    gc.collect()
    gc.freeze()  # or every child's collections copy the parent's pages
    for _ in range(int(sys.argv[1])):
        os.write(out, f"{processor_ms(WITH)} {processor_ms(WITHOUT)}\n".encode())


if __name__ == "__main__":
    main()
