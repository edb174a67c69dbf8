"""A headless browser that pages are opened in."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.report.browsing import FEW, REFUSED, show

# As root and without a network; see Chromium's own list of switches.
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1280,1600",
)


def leave_out(missing: str) -> NoReturn:
    """Skip, but where it is CI, in which a browser must not be missing unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium whose console and errors are kept."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        leave_out("chromium and chromium-driver are not installed (tools/engine does it)")
    if importlib.util.find_spec("selenium") is None:
        leave_out("selenium is not installed (it is among the tests' requirements)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Its processes may write there a moment longer.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        found = webdriver.Chrome(options, webdriver.ChromeService(driver))
        yield found
        found.quit()


@pytest.fixture
def few(browser: Any, tmp_path: Path) -> Any:
    """The page of four operations."""
    show(browser, tmp_path, list(FEW), (REFUSED,))
    return browser
