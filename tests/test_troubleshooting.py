"""`python -m pytest_registry explain`: what an error means, where there is no site."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_registry import troubleshooting
from pytest_registry.__main__ import main
from pytest_registry.errors import StateError

PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"


def test_the_command_that_an_error_names_prints_the_section_about_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = StateError("lock it", "its file system has no working locks", section="no-locks")
    command = next(line for line in str(error).splitlines() if line.startswith("Docs: "))
    assert main(command.partition("pytest_registry ")[2].split()) == 0
    told = capsys.readouterr().out
    assert told.startswith("no-locks: its file system has no working locks\n\nThe state directory")
    assert "cannot-write" not in told


def test_without_a_section_all_are_listed_with_their_headings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain"]) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    page = PAGE.read_text()
    assert len(rows) == page.count("\n## ")
    assert all(f"({name})=\n## {heading}\n" in page for name, heading in rows)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("no-trustm", "no-trustme"),
        ("the answer  Broke off", "transfer-failed"),
        ("no-such-thing-at-all", "no-such-image"),
        ("zzzzz", "without a section, all are listed"),
    ],
)
def test_an_unknown_section_fails_with_those_that_may_be_meant(
    given: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", given]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert given in told.err
    assert meant in told.err


@pytest.mark.parametrize("name", troubleshooting.sections())
def test_a_section_is_plain_text_of_short_lines(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > troubleshooting.WIDTH and " " in line] == []
    assert [line for line in lines if line.startswith("|") or "](" in line] == []


def test_a_row_of_a_table_is_its_words_and_below_them_the_cause(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["explain", "login-refused"])
    told = capsys.readouterr().out
    assert (
        "\n\n403 from GitLab for a name of three levels\n    GitLab takes two levels below" in told
    )
    assert "`echo HOST | docker-credential-NAME get`" in told


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "option"]], ids=str)
def test_a_command_whose_output_nobody_reads_ends_without_a_word(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as unread:  # noqa: PTH123 - a descriptor
        done = subprocess.run(
            [sys.executable, "-m", "pytest_registry", *arguments],
            stdout=unread,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (done.stderr, done.returncode) == (b"", 141)
