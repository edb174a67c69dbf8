"""What pytest says of the registry: in the reports of tests, between two tests, after the run."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from pytest_registry.sharing.member import Member

if TYPE_CHECKING:
    from pytest_registry.engines.endpoint import Endpoint
    from pytest_registry.sharing.run import Run


class Teller:
    """The hooks of a process that has a part in the run; a run without a registry has none."""

    def __init__(self, config: pytest.Config, member: Member) -> None:
        self._config = config
        self._member = member
        self._announces = config.get_verbosity() > 0 and not hasattr(config, "workerinput")
        self._announced: list[str] = []
        self._endpoint: Endpoint | None = None
        self._page = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let a failed test say if the registry ended, and let no report hold a password."""
        report = yield
        if report.failed and self._member.registries:
            # One who tells of a failure must not fail: of too many open files pytest itself would.
            with contextlib.suppress(Exception):
                report.sections.extend(self._sections(item, call.excinfo))
        return self._discreet(report)

    def pytest_runtest_logfinish(self) -> None:
        """With -v: a line that says which registry there is and why, once it is known.

        That is after the first test that used it, whichever worker ran it. It cannot be sooner: the
        registry is started, and its engine chosen, when a test asks. Likewise for a sample image
        that is a made-up one.
        """
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if not self._announces or reporter is None or (served := self._served()) is None:
            return
        from pytest_registry.sharing.reporting import announcements

        told = announcements(*served)
        for line in told[len(self._announced) :]:
            reporter.ensure_newline()
            reporter.write_line(line)
        self._announced = told

    @pytest.hookimpl(trylast=True)  # when xdist's workers have ended, and before the summary
    def pytest_sessionfinish(self) -> None:
        """Write the page if it is asked for, in a run without a terminal too."""
        served = self._served()
        if served is not None and served[0].settings.report:
            from pytest_registry.sharing.reporting import write_page

            self._page = write_page(*served)
            if not self._config.pluginmanager.has_plugin("terminalreporter"):
                print(self._page, file=sys.stderr)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say in a few lines what the registry did, if it was used."""
        served = self._served()
        if served is not None:
            from pytest_registry.sharing.reporting import summary

            terminalreporter.section("registry")
            told = summary(*served, self._page)
            terminalreporter.write("".join(f"{line}\n" for line in told))

    def _sections(
        self, item: pytest.Item, failure: pytest.ExceptionInfo[BaseException] | None
    ) -> list[tuple[str, str]]:
        """What a failed test's report says of the registries that it used."""
        from pytest_registry.sharing.failing import sections

        names = getattr(item, "fixturenames", ())
        asked = any(name.startswith("registry") for name in names)
        return sections(self._member.registries.values(), failure, asked=asked)

    def _served(self) -> tuple[Run, Endpoint] | None:
        """The run of this process's own, and its registry; None where none was started.

        It is asked for after every test: the registry, which never changes, is read once.
        """
        run = self._member.owned
        if run is None or not run.state.exists():
            return None
        from pytest_registry.sharing import state

        if self._endpoint is None:
            self._endpoint = state.find_endpoint(run)
        return None if self._endpoint is None else (run, self._endpoint)

    def _discreet(self, report: pytest.TestReport) -> pytest.TestReport:
        """The report without passwords: `--showlocals` prints what our and docker-py's code holds.

        A report is taken apart as for xdist, and put together again, only where one stands in it.
        """
        secrets = self._member.secrets
        texts = [report.longreprtext, *(text for _, text in report.sections)]
        if not any(secret in text for secret in secrets for text in texts):
            return report
        from pytest_registry.security.credentials import redacted

        hook = self._config.hook
        plain = hook.pytest_report_to_serializable(config=self._config, report=report)
        clean: pytest.TestReport = hook.pytest_report_from_serializable(
            config=self._config, data=redacted(plain, secrets)
        )
        return clean
