"""The benchmarks' figures that we show are those of the benchmarks that there are."""

from __future__ import annotations

import json
import os
import platform
import random
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_FIGURES = "it ended without figures"
SHOWN = ROOT / "benchmarks" / "README.md"


@pytest.fixture(autouse=True)
def needs_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_every_benchmark_stands_in_the_table_and_has_figures() -> None:
    from benchmarks.all import NAMES

    text = SHOWN.read_text()
    figures = text.partition("<!-- figures: ")[2].partition("<!-- end figures -->")[0]
    assert figures.count("\n| **") == len(NAMES)
    assert "Measured on: " in figures
    for name in NAMES:
        assert f"| `{name}` |" in text
        assert (ROOT / "benchmarks" / f"{name}.py").exists()


@pytest.mark.parametrize(
    ("ratios", "bar", "more_is_better", "verdict"),
    [
        ([0.9] * 5, 1.0, False, "kept"),
        ([1.0] * 5, 1.0, False, "kept"),
        ([1.1] * 5, 1.0, False, "MISSED"),
        ([1.01, 1.2, 1.3], 1.0, False, "MISSED"),
        ([0.99, 1.2, 1.3], 1.0, False, "missed, within the noise"),
        ([0.5] * 5, 1.0, True, "MISSED"),
        ([1.1] * 5, 1.0, True, "kept"),
        ([0.8, 0.9, 1.01], 1.0, True, "missed, within the noise"),
        ([9.0] * 5, None, False, "no bar"),
        ([9.0] * 2, 1.0, False, "missed, within the noise"),
        # One round in twenty at the other end does not hide what the others say.
        ([0.5, *[1.1] * 19], 1.0, False, "MISSED"),
        ([*[0.9] * 8, *[1.1] * 12], 1.0, False, "missed, within the noise"),
    ],
)
def test_a_bar_is_missed_where_the_ratios_whole_interval_lies_on_its_wrong_side(
    ratios: list[float], bar: float | None, more_is_better: bool, verdict: str
) -> None:
    from benchmarks.measure import Result, Row

    row = Row("it", "s", ratios, "a peer", [1.0], bar, more_is_better)
    assert row.verdict.value == verdict
    assert Result("It", [row]).missed == (["it, by a peer"] if verdict == "MISSED" else [])


@pytest.mark.parametrize(("count", "left_out"), [(1, 0), (5, 0), (6, 0), (9, 1), (20, 5), (60, 21)])
def test_the_interval_of_a_median_leaves_out_as_many_figures_as_the_tables_of_the_sign_test_say(
    count: int, left_out: int
) -> None:
    from benchmarks.measure import interval_of_median

    assert interval_of_median(range(count)) == (left_out, count - 1 - left_out)


def test_the_true_median_lies_in_its_interval_in_19_of_20_cases_or_more() -> None:
    from benchmarks.measure import interval_of_median

    chance = random.Random(9)
    intervals = [interval_of_median([chance.gauss() for _ in range(15)]) for _ in range(2000)]
    assert sum(low <= 0 <= high for low, high in intervals) >= 1900


def test_a_slow_round_is_in_no_ratio() -> None:
    from benchmarks.measure import Row

    row = Row("it", "s", [1.0, 8.0, 1.0], "a peer", [2.0, 16.0, 2.0], 0.6)
    assert row.ratios == [0.5, 0.5, 0.5]
    assert row.interval == (0.5, 0.5)


@pytest.mark.parametrize(
    ("found", "failed"),
    [
        ([set()], set()),
        ([{"a", "b"}, {"b", "c"}], {"b"}),
        ([{"a"}, set()], set()),
        ([{NO_FIGURES}, {"a"}], {"a"}),
        ([{"a"}, {NO_FIGURES}], {"a"}),
        ([{NO_FIGURES}, {NO_FIGURES}], {NO_FIGURES}),
        ([{NO_FIGURES}, set()], set()),
    ],
    ids=[
        *("nothing missed", "missed again", "missed by chance"),
        *("no figures, then missed", "missed, then no figures", "no figures twice"),
        "no figures by chance",
    ],
)
def test_only_what_is_missed_twice_fails(found: list[set[str]], failed: set[str]) -> None:
    from benchmarks import all as all_benchmarks

    assert all_benchmarks.NO_FIGURES == NO_FIGURES
    results = iter(found)
    assert all_benchmarks.missed_twice(lambda: next(results)) == failed
    assert next(results, None) is None


def test_a_benchmark_that_ends_without_figures_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.all import run

    assert run("no_such_benchmark", tmp_path, short=True) == {NO_FIGURES}
    assert "no_such_benchmark ended with status 1" in capfd.readouterr().out


def test_one_missed_row_is_not_hidden_by_another_of_its_name() -> None:
    from benchmarks.measure import Result, Row

    missed, kept = (Row("it", "s", [figure] * 3, "a peer", [1.0] * 3, 2.0) for figure in (3.0, 1.0))
    assert Result("It", [missed, kept]).missed == ["it, by a peer"]


def test_figures_of_two_days_name_the_day_of_each() -> None:
    from benchmarks.figures import table
    from benchmarks.measure import Result

    one, other = ({**Result(name, []).to_json(), "machine": name.lower()} for name in "AB")
    assert table([one, other]).startswith("Measured on: a (A); b (B). A ratio")
    assert table([one, one]).startswith("Measured on: a. A ratio")


def test_a_result_tells_the_machine_and_survives_json() -> None:
    from benchmarks.figures import table
    from benchmarks.measure import Fact, Result, Row

    result = Result("It", [Row("a", "s", [1.0], "b", [2.0])], [Fact("c", "MB", 3, at_most=2)])
    told = json.loads(json.dumps(result.to_json()))
    assert "| a | 1 s | b | 2 s | 0.5 |  | 1 |  |  |" in table([told])
    assert "| c | 3 MB |  |  |  |  | 1 | at most 2 | **MISSED** |" in table([told])
    assert told["missed"] == result.missed == ["c"]
    assert f"Python {sys.version_info.major}." in told["machine"]
    assert re.search(r"\d{4}-\d\d-\d\d$", told["machine"])
    for part in (f"{os.cpu_count()} cores", platform.release(), "engine|Docker"):
        assert re.search(part, told["machine"])


@pytest.mark.parametrize(
    ("value", "bar", "goal", "verdict", "fails"),
    [
        (4.0, None, None, "no bar", False),
        (4.0, 4.0, None, "kept", False),
        (5.0, 4.0, None, "MISSED", True),
        (4.0, None, 4.0, "kept", False),
        (5.0, None, 4.0, "over its goal", False),
    ],
)
def test_a_count_fails_by_its_bar_and_a_goal_that_is_passed_is_told(
    value: float, bar: float | None, goal: float | None, verdict: str, fails: bool
) -> None:
    from benchmarks.measure import Fact, Result

    fact = Fact("it", "ms", value, bar, goal)
    assert fact.verdict.value == verdict
    assert bool(Result("It", [], [fact]).missed) == fails


def test_each_is_measured_in_turn_and_every_other_round_backwards() -> None:
    from benchmarks.measure import in_turn

    order: list[str] = []
    in_turn(3, a=lambda: order.append("a"), b=lambda: order.append("b"))
    assert "".join(order) == "abbaab"


def test_rows_of_one_round_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.measure import Result, Row, report

    rows = [Row("a", "s", [1.0], "b", [2.0]), Row("c", "s", [1.0, 3.0], "b", [1.0, 1.0])]
    assert report(Result("It", rows), None) == 0
    told = capsys.readouterr().out
    assert "ratio 0.5 (one round)" in told
    assert "ratio 2 (1 to 3)" in told
