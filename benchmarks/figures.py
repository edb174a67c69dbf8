"""Write the figures of benchmarks/README.md: `python -m benchmarks.figures DIR`.

DIR has the benchmarks' JSON, which is what `python -m benchmarks.all --json DIR` wrote.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.all import NAMES

README = Path(__file__).with_name("README.md")
MARKED = re.compile(r"(<!-- figures: .*? -->\n).*?(<!-- end figures -->)", re.DOTALL)


def table(results: list[dict[str, Any]]) -> str:
    """All rows and facts of the benchmarks, with the machine named."""
    lines = [f"Measured on: {results[0]['machine']}. A ratio is ours by the peer's.", ""]
    lines += ["| what | ours | peer | peer's | ratio | spread |", "| --- " * 6 + "|"]
    for result in results:
        lines.append(f"| **{result['benchmark']}** | | | | | |")
        lines += [_row(row) for row in result["rows"]]
        lines += [f"| {fact['what']} | {_shown(fact)} | | | | |" for fact in result["facts"]]
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    ours, theirs = statistics.median(row["ours"]), statistics.median(row["theirs"])
    unit = row["unit"]
    low, high = row["interval"]
    return (
        f"| {row['what']} | {_number(ours)} {unit} | {row['peer']} | {_number(theirs)} {unit}"
        f" | {row['ratio']:.2f} | {low:.2f} to {high:.2f} |"
    )


def _shown(fact: dict[str, Any]) -> str:
    return f"{_number(fact['value'])} {fact['unit']}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> int:
    """Replace what stands between the markers."""
    directory = Path(sys.argv[1])
    results = [json.loads((directory / f"{name}.json").read_text()) for name in NAMES]
    text, count = MARKED.subn(
        lambda found: f"{found[1]}{table(results)}\n{found[2]}", README.read_text()
    )
    if count != 1:
        print(
            "benchmarks/README.md has no <!-- figures: ... --> ... <!-- end figures -->",
            file=sys.stderr,
        )
        return 1
    README.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
