"""A test that tells which registry it has, and leaves an image in it."""

import json
import os
from pathlib import Path

from pytest_registry import Registry, synthetic_image


def test_tells_what_it_finds(registry: Registry) -> None:
    found = registry.repositories()
    registry.push(synthetic_image(), "left/here")
    told = {"url": registry.url, "password": registry.credentials.password, "found": found}
    Path(os.environ["SIGNALS"], "told").write_text(json.dumps(told))
