"""`python -m pytest_registry explain`: the documentation's page "Troubleshooting", in a terminal.

An error's last line names a section of it. The page is at hand wherever the plugin is installed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HELP = "Explain an error by the section that its text names; without one, list the sections."
WIDTH = 78
"""Letters of a line; a word that is longer, such as an option, is never broken."""

_NAMED = re.compile(r"^\(([\w-]+)\)=\n## (.+)$", re.MULTILINE)
"""How a section begins: its name and its heading."""

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_CODE = re.compile(r"`[^`]+`")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: the words of an error that are its heading, and what they mean."""

    name: str
    heading: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the name of a section."""
    parser.add_argument(
        "section", metavar="SECTION", nargs="?", help="its name, as the error's text ends with it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a section or the list of them; status 1 where there is none of that name."""
    page = sections()
    if arguments.section is None:
        print("\n".join(_rows(page.values())))
        return 0
    found = page.get(arguments.section)
    if found is None:
        print(f"there is no section {arguments.section!r}", file=sys.stderr)
        print("\n".join(_instead(arguments.section, page)), file=sys.stderr)
        return 1
    print("\n\n".join([f"{found.name}: {found.heading}", *_paragraphs(found.text)]))
    return 0


def sections() -> Mapping[str, Section]:
    """The page's sections by name, in its order."""
    _, *parts = _NAMED.split(_page().read_text("utf-8"))
    found = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {name: Section(name, heading, text.strip()) for name, heading, text in found}


def _page() -> Path:
    """The wheel holds the page beside this file; a checkout has it among its documents."""
    installed = Path(__file__).with_suffix(".md")
    checkout = Path(__file__).parents[1] / "docs" / installed.name
    return installed if installed.exists() else checkout


def _rows(chosen: Iterable[Section]) -> Iterator[str]:
    for each in chosen:
        yield f"{each.name:<22} {each.heading}"


def _instead(given: str, page: Mapping[str, Section]) -> list[str]:
    """The sections that may be meant: of a similar name, or with the given words."""
    from difflib import get_close_matches

    close = get_close_matches(given, page)
    words = " ".join(given.lower().split())
    holding = [each.name for each in page.values() if words in _searched(each)]
    meant = [page[name] for name in dict.fromkeys([*close, *holding])]
    return ["did you mean:", *_rows(meant)] if meant else ["without a section, all are listed"]


def _searched(section: Section) -> str:
    return " ".join(f"{section.heading} {section.text}".lower().split())


def _paragraphs(text: str) -> Iterator[str]:
    """The text without its markup; a table's row is a paragraph, its further cells indented."""
    for block in re.split(r"\n{2,}", text):
        if block.startswith("|"):
            yield from map(_row, block.splitlines()[2:])  # after the head and the line below it
        else:
            yield _filled(block)


def _row(line: str) -> str:
    words, meaning = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
    return f"{_filled(words)}\n{_filled(meaning, '    ')}"


def _filled(text: str, indent: str = "") -> str:
    from textwrap import fill

    plain = _LINK.sub(r'"\1"', " ".join(text.split())).replace(r"\|", "|")
    whole = _CODE.sub(lambda code: code[0].replace(" ", "\0"), plain)  # a command is to be copied
    return fill(
        whole,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\0", " ")
