"""A test that has no use for a registry, though it may look what was made for it."""

import os
from pathlib import Path


def test_asks_for_nothing() -> None:
    runs = list(Path(os.environ["TMPDIR"]).glob("pytest-registry-*/runs/*"))
    made = sorted(path.name for run in runs for path in run.iterdir())
    signals = Path(os.environ["SIGNALS"])
    (signals / f"made-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}").write_text("\n".join(made))
