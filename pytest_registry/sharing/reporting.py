"""What is told of a run at its end: lines on the terminal, and the page where it is asked for."""

from __future__ import annotations

from pathlib import Path

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.errors import StateError
from pytest_registry.report.model import figures, traffic_figures
from pytest_registry.report.records import read
from pytest_registry.report.terminal import summary_lines, traffic_line
from pytest_registry.report.traffic import LoggedRequest, read_requests
from pytest_registry.sharing import elsewhere, kept, once
from pytest_registry.sharing.run import Run


def announcements(run: Run, endpoint: Endpoint) -> list[str]:
    """Which registry serves a run and why, and whether its sample image is a made-up one so far."""
    registry = (
        f"registry: {endpoint.detail}, at {endpoint.url} after {endpoint.start_seconds:.2f} s"
        f" ({endpoint.reason})"
    )
    stand_in = once.made(run, once.STAND_IN)
    if stand_in is None:
        return [registry]
    return [registry, f"the sample image is a synthetic one, not nginx: {stand_in['why']}"]


def summary(run: Run, endpoint: Endpoint, page: str = "") -> list[str]:
    """What the registry did in the run, in a few lines; `page` is what `write_page` told."""
    lines = announcements(run, endpoint)
    lines += summary_lines(figures(read(run.events), _limits(run)))
    traffic = traffic_line(traffic_figures(_requests(run, endpoint)))
    lines += [line for line in (traffic, page) if line]
    lines += elsewhere.summary(run, endpoint)
    return lines + (kept.how_to_use(run, endpoint) if run.kept.exists() else [])


def _requests(run: Run, endpoint: Endpoint) -> list[LoggedRequest]:
    """What reached the registry in the run, as far as anybody notes it."""
    if endpoint.request_log is None:
        return []
    found = read_requests(Path(endpoint.request_log))
    if not run.reused.exists():
        return list(found)
    # A kept registry's log begins with the run that kept it.
    began = run.reused.stat().st_mtime
    return [each for each in found if each.started >= began]


def write_page(run: Run, endpoint: Endpoint) -> str:
    """Write the page if it is asked for; where it is, or why it could not be written."""
    if not run.settings.report:
        return ""
    from pytest_registry.report.html import write_report
    from pytest_registry.report.picture import RunFacts, picture

    facts = RunFacts(
        engine=endpoint.detail,
        reason=endpoint.reason,
        address=endpoint.url,
        start_seconds=endpoint.start_seconds,
        limits=_limits(run),
    )
    path = Path(run.settings.report)
    seen = picture(facts, list(read(run.events)), _requests(run, endpoint))
    try:
        beside = write_report(path, seen)
    except StateError as error:
        return str(error)
    return f"report: {path}, and {beside.name} beside it"


def _limits(run: Run) -> dict[str, int | None]:
    return {"pull": run.settings.pull_limit, "push": run.settings.push_limit}
