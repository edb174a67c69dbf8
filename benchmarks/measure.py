"""What the benchmarks share: figures measured in turn, as ratios, with their spread and bar."""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeVar

Figure = TypeVar("Figure")

FEWEST_TO_JUDGE = 3
"""Rounds of a measurement that can fail. Every row with a bar has as many, also in short form."""


class Verdict(Enum):
    """How a figure stands to its bar. Only `MISSED` fails a benchmark."""

    NO_BAR = "no bar"
    KEPT = "kept"
    WITHIN_NOISE = "missed, within the noise"
    OVER_GOAL = "over its goal"
    MISSED = "MISSED"


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
    def ratios(self) -> list[float]:
        """Ours by theirs, round by round: what slows a whole round down is in no ratio.

        A peer with another number of rounds, such as an ideal of 1, counts with its median.
        """
        if len(self.ours) == len(self.theirs):
            return [own / other for own, other in zip(self.ours, self.theirs, strict=True)]
        middle = statistics.median(self.theirs)
        return [own / middle for own in self.ours]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """Between what the ratio lies, as far as the rounds tell."""
        return interval_of_median(self.ratios)

    @property
    def verdict(self) -> Verdict:
        """How the ratio stands to its bar."""
        return judged(self.ratios, self.bar, more_is_better=self.more_is_better)


def judged(ratios: Sequence[float], bar: float | None, *, more_is_better: bool) -> Verdict:
    """How the rounds' ratios stand to a bar, which is at most, or at least, that.

    It is missed where the whole interval of their median lies on its wrong side. Fewer than
    `FEWEST_TO_JUDGE` rounds say nothing of the noise, so that they fail nothing.
    """
    if bar is None:
        return Verdict.NO_BAR
    sign = -1 if more_is_better else 1
    if sign * statistics.median(ratios) <= sign * bar:
        return Verdict.KEPT
    missed = all(sign * end > sign * bar for end in interval_of_median(ratios))
    return Verdict.MISSED if missed and len(ratios) >= FEWEST_TO_JUDGE else Verdict.WITHIN_NOISE


def interval_of_median(figures: Sequence[float]) -> tuple[float, float]:
    """What holds the true median in at least 19 of 20 cases, whatever the figures' distribution.

    Of `count` figures each is as likely above the median as below it. So the median lies outside
    the `cut`-th lowest and highest with the chance of `cut - 1` or fewer heads in `count` tosses of
    a coin, twice. With fewer than 6 figures no cut is as sure: all of them are taken.
    """
    ordered, cut = sorted(figures), 1
    tosses = 2 ** len(ordered)
    while 2 * sum(math.comb(len(ordered), heads) for heads in range(cut + 1)) <= tosses / 20:
        cut += 1
    return ordered[cut - 1], ordered[-cut]


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure without a peer, such as a count or a size; `at_most` is its bar.

    `goal` is told only: an absolute time is the machine's as much as ours, so nothing fails by it.
    `rounds` is how many measurements the figure is the median, or the worst, of.
    """

    what: str
    unit: str
    value: float
    at_most: float | None = None
    goal: float | None = None
    rounds: int = 1

    @property
    def verdict(self) -> Verdict:
        """How the figure stands to its bar, or to its goal; a count has no noise."""
        limit = self.goal if self.at_most is None else self.at_most
        if limit is None:
            return Verdict.NO_BAR
        if self.value <= limit:
            return Verdict.KEPT
        return Verdict.OVER_GOAL if self.at_most is None else Verdict.MISSED


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark's outcome; no two rows have the same `what` and peer, no two facts a `what`."""

    name: str
    rows: Sequence[Row]
    facts: Sequence[Fact] = field(default=())

    @property
    def missed(self) -> list[str]:
        """The rows and counts that miss their bars by more than the noise."""
        rows = [f"{each.what}, by {each.peer}" for each in self.rows if missed(each)]
        return [*rows, *(each.what for each in self.facts if missed(each))]

    def to_json(self) -> dict[str, object]:
        """The outcome, with the machine it was measured on."""
        rows = [
            {
                **asdict(row),
                "ratio": row.ratio,
                "interval": row.interval,
                "verdict": row.verdict.value,
            }
            for row in self.rows
        ]
        facts = [{**asdict(fact), "verdict": fact.verdict.value} for fact in self.facts]
        told = {"benchmark": self.name, "machine": machine(), "missed": self.missed}
        return {**told, "rows": rows, "facts": facts}


def missed(figure: Row | Fact) -> bool:
    """Whether this fails a benchmark."""
    return figure.verdict is Verdict.MISSED


def in_turn(times: int, **measures: Callable[[], Figure]) -> Mapping[str, list[Figure]]:
    """Measure each in turn, `times` over, so that a noisy moment touches all alike.

    Every other round goes backwards, for whoever comes first may find the machine in another state.
    """
    figures: dict[str, list[Figure]] = {name: [] for name in measures}
    order = list(measures.items())
    for _ in range(times):
        for name, measure in order:
            figures[name].append(measure())
        order.reverse()
    return figures


@functools.cache
def machine() -> str:
    """The machine, what runs on it, and the day, in a few words."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
        f" {platform.machine()}, Python {platform.python_version()}, {_engine()},"
        f" {datetime.datetime.now(datetime.UTC).date()}"
    )


def _processor() -> str:
    """The processor's model, where the kernel tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "a processor without a name"


def _engine() -> str:
    """The container engine's version, where one answers."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "no container engine"
    return "no container engine" if done.returncode else f"Docker {done.stdout.strip()}"


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
        print(f"{fact.what}: {fact.value:.4g} {fact.unit}{bar}{_told(fact.verdict)}")
    if path is not None:
        path.write_text(json.dumps(result.to_json(), indent=2))
    return 1 if result.missed else 0


def _line(row: Row) -> str:
    ours, theirs = statistics.median(row.ours), statistics.median(row.theirs)
    low, high = row.interval
    spread = f"{low:.3g} to {high:.3g}" if len(row.ours) > 1 else "one round"
    sign = ">=" if row.more_is_better else "<="
    bar = "" if row.bar is None else f"  (bar {sign} {row.bar:g})"
    return (
        f"{row.what}: {ours:.4g} {row.unit}, {row.peer} {theirs:.4g} {row.unit},"
        f" ratio {row.ratio:.3g} ({spread}){bar}{_told(row.verdict)}"
    )


def _told(verdict: Verdict) -> str:
    silent = (Verdict.NO_BAR, Verdict.KEPT)
    return "" if verdict in silent else f"  {verdict.value}"
