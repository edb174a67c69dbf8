"""A test that has no use for a registry, though it may look what was made for it."""

import os
from pathlib import Path


def test_asks_for_nothing() -> None:
    made = sorted(str(path) for path in Path(os.environ["TMPDIR"]).rglob("pytest-registry-*"))
    signals = Path(os.environ["SIGNALS"])
    (signals / f"made-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}").write_text("\n".join(made))
