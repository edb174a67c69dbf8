"""What the benchmarks share: figures measured in turn, as ratios, with their spread and bar."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """Our figure beside a peer's, both measured in turn in this run.

    `bar` is what the ratio ours/theirs must not pass; with `more_is_better`, what it must reach.
    None: told for comparison only.
    """

    what: str
    unit: str
    ours: Sequence[float]
    peer: str
    theirs: Sequence[float]
    bar: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        """The median of ours over the median of theirs."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def noise(self) -> float:
        """The part of the ratio that the spread of both explains (interquartile, relative)."""
        return _spread(self.ours) + _spread(self.theirs)

    @property
    def is_met(self) -> bool:
        """Whether the ratio keeps its bar, but for the measured noise."""
        if self.bar is None:
            return True
        if self.more_is_better:
            return self.ratio * (1 + self.noise) >= self.bar
        return self.ratio * (1 - self.noise) <= self.bar


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure without a peer, such as a count or a size; `at_most` is its bar.

    `goal` is told only: an absolute time is the machine's as much as ours, so nothing fails by it.
    """

    what: str
    unit: str
    value: float
    at_most: float | None = None
    goal: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the bar is kept."""
        return self.at_most is None or self.value <= self.at_most


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark's outcome."""

    name: str
    rows: Sequence[Row]
    facts: Sequence[Fact] = field(default=())

    @property
    def is_met(self) -> bool:
        """Whether every bar is kept."""
        return all([row.is_met for row in self.rows] + [fact.is_met for fact in self.facts])

    def to_json(self) -> dict[str, object]:
        """The outcome, with the machine it was measured on."""
        rows = [
            {**asdict(row), "ratio": row.ratio, "noise": row.noise, "met": row.is_met}
            for row in self.rows
        ]
        facts = [{**asdict(fact), "met": fact.is_met} for fact in self.facts]
        return {"benchmark": self.name, "machine": machine(), "rows": rows, "facts": facts}


def in_turn(times: int, **measures: Callable[[], float]) -> Mapping[str, list[float]]:
    """Measure each in turn, `times` over, so that a noisy moment touches all alike."""
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(times):
        for name, measure in measures.items():
            figures[name].append(measure())
    return figures


def machine() -> str:
    """The machine in a few words."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python " + (
        platform.python_version()
    )


def arguments(description: str | None) -> argparse.Namespace:
    """`--short` and `--json PATH`, as every benchmark takes them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="fewer rounds, for CI")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def report(result: Result, path: Path | None) -> int:
    """Print the table, write the JSON, and say by the exit status whether the bars are kept."""
    print(f"## {result.name} ({machine()})")
    for row in result.rows:
        print(_line(row))
    for fact in result.facts:
        bar = "" if fact.at_most is None else f"  (bar: at most {fact.at_most:g})"
        bar += "" if fact.goal is None else f"  (goal: at most {fact.goal:g})"
        print(f"{fact.what}: {fact.value:.4g} {fact.unit}{bar}{'' if fact.is_met else '  MISSED'}")
    if path is not None:
        path.write_text(json.dumps(result.to_json(), indent=2))
    return 0 if result.is_met else 1


def _line(row: Row) -> str:
    ours, theirs = statistics.median(row.ours), statistics.median(row.theirs)
    sign = ">=" if row.more_is_better else "<="
    bar = "" if row.bar is None else f"  (bar {sign} {row.bar:g})"
    return (
        f"{row.what}: {ours:.4g} {row.unit}, {row.peer} {theirs:.4g} {row.unit},"
        f" ratio {row.ratio:.3g} ± {row.noise:.0%}{bar}{'' if row.is_met else '  MISSED'}"
    )


def _spread(figures: Sequence[float]) -> float:
    if len(figures) < 4:
        return (max(figures) - min(figures)) / 2 / statistics.median(figures)
    low, _, high = statistics.quantiles(figures, n=4)
    return (high - low) / 2 / statistics.median(figures)
