"""What pytest says of the registry: in the reports of tests, between two tests, after the run."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_registry.sharing.member import Member


class Teller:
    """The hooks of a process that has a part in the run; a run without a registry has none."""

    def __init__(self, config: pytest.Config, member: Member) -> None:
        self._config = config
        self._member = member
        self._announces = config.get_verbosity() > 0 and not hasattr(config, "workerinput")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let a failed test say if the registry ended, and let no report hold a password."""
        report = yield
        if report.failed:
            used = "registry" in getattr(item, "fixturenames", ())
            report.sections.extend(self._member.sections(call.excinfo, used=used))
        return self._member.discreet(report)

    def pytest_runtest_logfinish(self) -> None:
        """With -v: one line that says which registry there is and why, once it is known.

        That is after the first test that used it, whichever worker ran it. It cannot be sooner: the
        registry is started, and its engine chosen, when a test asks.
        """
        line = self._member.announcement() if self._announces else ""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if line and reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line)
            self._announces = False

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say in a few lines what the registry did, if it was used."""
        lines = self._member.summary()
        if lines:
            terminalreporter.section("registry")
            terminalreporter.write("".join(f"{line}\n" for line in lines))
