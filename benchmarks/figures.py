"""Measure everything and write the figures anew: `python -m benchmarks.figures`.

They stand in benchmarks/README.md, a few of them in the README, and those of limits that machines
share in docs/scaling.md, between `<!-- figures: ... -->` and `<!-- end figures -->`. The JSON goes
to build/benchmarks. With a directory, only write the figures from its JSON, as
`python -m benchmarks.all --json DIR` left it.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.all import NAMES

README = Path(__file__).with_name("README.md")
FRONT = README.parents[1] / "README.md"
SCALING = README.parents[1] / "docs" / "scaling.md"
MEASURED = README.parents[1] / "build" / "benchmarks"
COLUMNS = ("what", "ours", "peer", "peer's", "ratio", "interval", "rounds", "bar", "verdict")
HEADLINE = {
    ("processor time of a run", "-p no:registry"): "processor time of a run without a registry",
    ("embedded", "testcontainers"): "start until a login is answered, embedded",
    ("container", "testcontainers"): "the same, a container",
    ("8 workers, embedded", "docker run by hand"): "nginx is there for 8 workers, embedded",
    ("8 workers, container", "docker run by hand"): "the same, a container",
    ("push 1 blob", "docker-registry"): "embedded registry: push of 256 MiB",
    ("pull 8 together", "docker-registry"): "8 pulls together",
    ("HEAD 8 connections", "docker-registry"): "small requests, 8 connections",
    ("64 processes, 10 slots of 20 ms: makespan / ideal", "portalocker"): (
        "64 processes, 10 slots: all done, by the ideal"
    ),
    ("64 processes, 10 slots of 20 ms: longest / mean wait", "portalocker"): (
        "the same: longest wait, by the mean"
    ),
}
"""The rows that the README shows, by what was measured and beside whom, and what they are there."""
MARKED = re.compile(r"(<!-- figures: .*? -->\n).*?(<!-- end figures -->)", re.DOTALL)


def table(results: list[dict[str, Any]]) -> str:
    """All rows and facts of the benchmarks, with the machine named."""
    lines = [_measured(results), ""]
    lines += [_line(*COLUMNS), "| --- " * len(COLUMNS) + "|"]
    for result in results:
        lines.append(_line(f"**{result['benchmark']}**"))
        lines += [_line(*_cells(row)) for row in result["rows"]]
        lines += [_fact(fact) for fact in result["facts"]]
    return "\n".join(lines)


def headline(results: list[dict[str, Any]]) -> str:
    """A few of the rows, for the README."""
    rows = {(row["what"], row["peer"]): row for result in results for row in result["rows"]}
    lines = [
        _measured(results),
        "",
        "| what | ours | peer | peer's | ratio |",
        "| --- " * 5 + "|",
    ]
    for key, what in HEADLINE.items():
        lines.append(f"| {what} | {' | '.join(_cells(rows[key])[1:5])} |")
    return "\n".join(lines)


def _measured(results: list[dict[str, Any]]) -> str:
    return f"Measured on: {machines(results)}. A ratio is ours by the peer's."


def machines(results: list[dict[str, Any]]) -> str:
    """Where and when the benchmarks were measured; which of them, where that is not the same."""
    measured: dict[str, list[str]] = {}
    for result in results:
        measured.setdefault(result["machine"], []).append(result["benchmark"])
    if len(measured) == 1:
        return "".join(measured)
    return "; ".join(f"{machine} ({', '.join(names)})" for machine, names in measured.items())


def shared_limits(hosts: dict[str, Any]) -> str:
    """What `benchmarks.hosts` found, a line for each crowd."""
    facts = {fact["what"]: fact["value"] for fact in hosts["facts"]}
    lines = [
        f"Measured on: {hosts['machine']}.",
        "",
        "| who | operations/s | mean wait | longest | makespan / ideal | fairness |",
        "| --- " * 6 + "|",
    ]
    for row in hosts["rows"]:
        who = row["what"].removesuffix(": makespan")
        speed, mean, longest, fairness = (
            _number(facts[f"{who}: {what}"])
            for what in ("throughput", "mean wait", "longest wait", "fairness between hosts (Jain)")
        )
        ratio = _number(row["ratio"])
        lines.append(f"| {who} | {speed} | {mean} s | {longest} s | {ratio} | {fairness} |")
    return "\n".join(lines)


def shown_rows(text: str) -> list[tuple[str, ...]]:
    """What a table has without its figures: the header; what, which peer, which bar of each row."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ]
    what, peer, bar = (COLUMNS.index(name) for name in ("what", "peer", "bar"))
    header, *others = rows
    if tuple(header) != COLUMNS:
        return [tuple(header)]
    return [COLUMNS, *((row[what], row[peer], row[bar]) for row in others)]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |" + " |" * (len(COLUMNS) - len(cells))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """What a row has in each of the columns."""
    ours, theirs = statistics.median(row["ours"]), statistics.median(row["theirs"])
    unit, rounds = row["unit"], len(row["ours"])
    low, high = row["interval"]
    return (
        row["what"],
        f"{_number(ours)} {unit}",
        row["peer"],
        f"{_number(theirs)} {unit}",
        _number(row["ratio"]),
        f"{_number(low)} to {_number(high)}" if rounds > 1 else "",
        str(rounds),
        _bar(row["bar"], "at least" if row["more_is_better"] else "at most"),
        _verdict(row),
    )


def _fact(fact: dict[str, Any]) -> str:
    shown = f"{_number(fact['value'])} {fact['unit']}".strip()
    bar = _bar(fact["at_most"], "at most") or _bar(fact["goal"], "goal: at most")
    return _line(fact["what"], shown, "", "", "", "", str(fact["rounds"]), bar, _verdict(fact))


def _bar(bar: float | None, side: str) -> str:
    return "" if bar is None else f"{side} {_number(bar)}"


def _verdict(figure: dict[str, Any]) -> str:
    """Nothing where there is no bar; in bold what is not kept, or nobody would find it."""
    verdict: str = figure["verdict"]
    shown = {"no bar": "", "kept": "kept"}
    return shown.get(verdict, f"**{verdict}**")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def replace(page: Path, figures: str) -> bool:
    """Write what stands between the page's markers anew; False where it has none."""
    text, count = MARKED.subn(lambda found: f"{found[1]}{figures}\n{found[2]}", page.read_text())
    if count == 1:
        page.write_text(text)
    return count == 1


def main() -> int:
    """Replace what stands between the markers; a missed bar is shown, and is no reason not to."""
    directory = Path(sys.argv[1]) if sys.argv[1:] else MEASURED
    if not sys.argv[1:]:
        command = [sys.executable, "-m", "benchmarks.all", "--json", str(directory)]
        subprocess.run(command, check=False)
    if absent := [name for name in NAMES if not (directory / f"{name}.json").exists()]:
        print(f"no figures of {', '.join(absent)} in {directory}", file=sys.stderr)
        return 1
    results = [json.loads((directory / f"{name}.json").read_text()) for name in NAMES]
    hosts = results[NAMES.index("hosts")]
    pages = {
        README: table(results),
        FRONT: headline(results),
        SCALING: shared_limits(hosts),
    }
    for page, figures in pages.items():
        if not replace(page, figures):
            print(f"{page} has no <!-- figures: ... --> ... <!-- end figures -->", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
