"""The benchmarks' figures that we show are those of the benchmarks that there are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOWN = ROOT / "benchmarks" / "README.md"


@pytest.fixture(autouse=True)
def needs_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_every_benchmark_stands_in_the_table_and_has_figures() -> None:
    from benchmarks.all import NAMES

    text = SHOWN.read_text()
    figures = text.partition("<!-- figures: ")[2].partition("<!-- end figures -->")[0]
    assert figures.count("| **") == len(NAMES)
    assert "Measured on: " in figures
    for name in NAMES:
        assert f"| `{name}` |" in text
        assert (ROOT / "benchmarks" / f"{name}.py").exists()


@pytest.mark.parametrize(
    ("ours", "bar", "more_is_better", "met"),
    [
        ([2.0] * 5, 1.0, False, False),
        ([1.0] * 5, 1.0, False, True),
        ([0.5] * 5, 1.0, True, False),
        ([0.8, 0.9, 1.0, 1.2, 1.3], 0.9, False, True),
        ([9.0] * 5, None, False, True),
    ],
    ids=["slower", "as fast", "less", "within the noise", "without a bar"],
)
def test_a_bar_is_missed_by_more_than_the_noise_only(
    ours: list[float], bar: float | None, more_is_better: bool, met: bool
) -> None:
    from benchmarks.measure import Row

    assert Row("it", "s", ours, "a peer", [1.0] * 5, bar, more_is_better).is_met is met


def test_a_result_tells_the_machine_and_survives_json() -> None:
    from benchmarks.figures import table
    from benchmarks.measure import Fact, Result, Row

    result = Result("It", [Row("a", "s", [1.0], "b", [2.0])], [Fact("c", "MB", 3, at_most=2)])
    told = json.loads(json.dumps(result.to_json()))
    assert "| a | 1 s | b | 2 s | 0.50 ± 0% |" in table([told])
    assert not result.is_met
    assert f"Python {sys.version_info.major}." in told["machine"]
