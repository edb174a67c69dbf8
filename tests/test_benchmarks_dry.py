"""The benchmarks without their work: the rows that each has, and the rounds that it takes.

What measures is replaced; what decides on rows, bars and rounds is the benchmarks' own code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from benchmarks.measure import Result

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def needs_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


Replace = Callable[..., None]


def dry_plugin(replace: Replace, *, short: bool) -> Result:
    from benchmarks import plugin

    def measured(rounds: int, *_: str) -> plugin.Costs:
        costs = [plugin.Cost(1.0, 1.0)] * rounds
        return plugin.Costs(costs, costs, 1)

    replace(plugin, measured=measured)
    return plugin.measure(short=short)


def dry_start(replace: Replace, *, short: bool) -> Result:
    from benchmarks import start

    replace(start, kept_registry=contextlib.nullcontext, until_login=one, plain_docker_run=one)
    return start.measure(short=short)


def dry_first_push(replace: Replace, *, short: bool) -> Result:
    from benchmarks import first_push
    from benchmarks.sessions import Peer, Session

    replace(
        first_push,
        docker_registry_fixtures=lambda: Peer("pytest-docker-registry-fixtures", "fixtures"),
        kept_registry=contextlib.nullcontext,
        session=lambda *_: Session(1.0, 1.0, 1.0),
    )
    return first_push.measure(short=short)


@contextlib.contextmanager
def no_server(name: str, *_: object) -> Iterator[Any]:
    """A registry that nobody started, and which notes figures as one does."""
    from benchmarks.registries import Registry

    process: Any = SimpleNamespace(pid=os.getpid())
    yield Registry(name, 0, Path("nowhere"), process, start_seconds=1.0)


def dry_embedded(replace: Replace, *, short: bool) -> Result:
    from benchmarks import embedded, registries

    tls = SimpleNamespace(make=lambda _: SimpleNamespace(authority=Path()))
    small = {"blob": registries.BLOCK, "part": 1}
    sizes = {name: dataclasses.replace(getattr(embedded, name), **small) for name in FORMS}
    replace(embedded, **sizes, running=no_server, container_start=one, heads_elsewhere=one)
    replace(embedded, push=one, pull=one, pull_with_curl=one, push_manifest=one, Certificate=tls)
    replace(embedded, measure_nginx=noted_by_nginx)
    return embedded.measure(sizes["SHORT" if short else "FULL"], Path())


def noted_by_nginx(nginx: Any, *_: object) -> None:
    nginx.note("pull 1", 1.0)
    nginx.note("pull 8 together", 1.0)


def dry_gateway(replace: Replace, *, short: bool) -> Result:
    from benchmarks import gateway

    def serving(kind: str, *_: object) -> contextlib.AbstractContextManager[Any]:
        return no_server(gateway.NAMES[kind])

    replace(gateway, serving=serving, running=no_server, push=one, pull=one, heads=one)
    replace(gateway, container=lambda _: no_server(gateway.CONTAINER))
    size = gateway.SHORT if short else gateway.FULL
    return gateway.measure(dataclasses.replace(size, blob=1), Path())


def dry_limits(replace: Replace, *, short: bool) -> Result:
    from benchmarks import limits

    crowd = limits.Crowd(1.0, 1.0, 1.0)
    replace(limits, crowd=lambda *_: crowd, uncontended=one)
    replace(limits, opened=lambda *_: contextlib.nullcontext())
    replace(limits, after_kill=one, overshoot=one, behind_stopped=one)
    return limits.measure(short=short)


def dry_hosts(_: Replace, *, short: bool) -> Result:
    from benchmarks import hosts

    done = [hosts.Operation(host=0, asked=0.0, begun=0.0, ended=1.0)]
    return hosts.measure(lambda _: hosts.Round(done, 1.0, 1.0, 1, 1.0), short=short)


def dry_sharing(replace: Replace, *, short: bool) -> Result:
    from benchmarks import sharing

    outcome = sharing.Outcome(1, 1.0, 0.001, 2, (1.0, 1.0), 0)
    replace(sharing, run=lambda *_: outcome)
    return sharing.measure(short=short)


def dry_suite(replace: Replace, *, short: bool) -> Result:
    from benchmarks import suite

    replace(suite, suite=lambda *_: suite.Outcome(1.0, 1, 1, 1.0))
    return suite.measure(short=short)


def one(*_: object) -> float:
    """What anything measures."""
    return 1.0


FORMS = ("SHORT", "FULL")
DRY = {
    "plugin": dry_plugin,
    "start": dry_start,
    "first_push": dry_first_push,
    "embedded": dry_embedded,
    "gateway": dry_gateway,
    "limits": dry_limits,
    "hosts": dry_hosts,
    "sharing": dry_sharing,
    "suite": dry_suite,
}


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A benchmark's outcome without its work, by name."""

    def replace(module: object, **fakes: object) -> None:
        for name, fake in fakes.items():
            monkeypatch.setattr(module, name, fake)

    return lambda name, *, short: DRY[name](replace, short=short)


def test_every_benchmark_is_tried_dry() -> None:
    from benchmarks.all import NAMES

    assert set(DRY) == set(NAMES)


@pytest.mark.parametrize("short", [True, False], ids=["short", "full"])
@pytest.mark.parametrize("name", DRY)
def test_every_row_with_a_bar_has_rounds_enough_to_fail(
    name: str, short: bool, dry: Callable[..., Result]
) -> None:
    from benchmarks.measure import FEWEST_TO_JUDGE

    result = dry(name, short=short)
    judged = [(row.what, len(row.ours)) for row in result.rows if row.bar is not None]
    assert judged, "nothing here can fail"
    judged += [(each.what, each.rounds) for each in result.facts if each.at_most is not None]
    counted_once = ("modules of ours imported",)
    fewest = FEWEST_TO_JUDGE if short else 5
    assert [what for what, rounds in judged if rounds < fewest and what not in counted_once] == []


@pytest.mark.parametrize("name", DRY)
def test_no_two_figures_have_one_name(name: str, dry: Callable[..., Result]) -> None:
    result = dry(name, short=False)
    for names in (
        [(row.what, row.peer) for row in result.rows],
        [one.what for one in result.facts],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "what", "peer"),
    [
        ("embedded", "cold start", "docker-registry as a container"),
        ("gateway", "pull x1 through the gateway", "registry container"),
        ("gateway", "pull x1 with the log", "embedded, without the log"),
        ("sharing", "start of the registry, 8 workers", "8 starts, one after the other"),
        ("sharing", "attaching", "a start"),
        ("suite", "200 tests, 8 workers: time", "1 worker"),
        ("suite", "200 tests, 8 workers: bytes pushed", "1 worker"),
    ],
)
def test_what_the_issues_demand_has_a_bar(
    name: str, what: str, peer: str, dry: Callable[..., Result]
) -> None:
    rows = dry(name, short=False).rows
    assert any((row.what, row.peer) == (what, peer) and row.bar is not None for row in rows)


def test_the_figures_that_we_show_have_the_rows_and_columns_that_the_code_has(
    dry: Callable[..., Result],
) -> None:
    """A table of an older version's rows fails: `python -m benchmarks.figures` writes it anew."""
    from benchmarks.figures import shown_rows, table

    text = (ROOT / "benchmarks" / "README.md").read_text()
    block = text.partition("<!-- figures: ")[2].partition("<!-- end figures -->")[0]
    now = table([dry(name, short=False).to_json() for name in DRY])
    assert shown_rows(block) == shown_rows(now)


def test_the_readme_shows_figures_of_the_rows_that_it_names(dry: Callable[..., Result]) -> None:
    from benchmarks.figures import headline

    text = (ROOT / "README.md").read_text()
    block = text.partition("<!-- figures: ")[2].partition("<!-- end figures -->")[0]
    now = headline([dry(name, short=False).to_json() for name in DRY])
    shown, made = (re.findall(r"^\| (.*?) \|", page, re.MULTILINE) for page in (block, now))
    assert shown == made


def test_figures_of_all_benchmarks_become_a_table_and_others_none(
    dry: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import figures

    readme, front, scaling = (tmp_path / name for name in ("README.md", "front.md", "scaling.md"))
    for page in (readme, front, scaling):
        page.write_text(
            "before\n<!-- figures: here -->\nof long ago\n<!-- end figures -->\nafter\n"
        )
    monkeypatch.setattr(figures, "README", readme)
    monkeypatch.setattr(figures, "FRONT", front)
    monkeypatch.setattr(figures, "SCALING", scaling)
    monkeypatch.setattr("sys.argv", ["figures", str(tmp_path)])
    assert figures.main() == 1
    assert "of long ago" in readme.read_text()
    for name in DRY:
        told = dry(name, short=False).to_json()
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
    assert figures.main() == 0
    for page in (readme, front, scaling):
        text = page.read_text()
        assert text.startswith("before\n<!-- figures: here -->\nMeasured on: ")
        assert text.endswith("|\n<!-- end figures -->\nafter\n")
        assert "of long ago" not in text
    assert "| 10 hosts x 8, pull limit 10 | 1 | 0 s | 0 s | 1 | 1 |" in scaling.read_text()
