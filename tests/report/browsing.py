"""Runs to draw, and a browser to look at their pages with."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_registry.report.html import write_report
from pytest_registry.report.picture import RunFacts, picture
from pytest_registry.report.records import OperationRecord
from pytest_registry.report.traffic import LoggedRequest

FACTS = RunFacts(
    *("embedded", "asked for", "http://127.0.0.1:4000", 0.07, {"pull": 2, "push": None}),
    *("pytest -n 2", "ci-7"),
)
HOSTILE = "tests/test_it.py::test_x[</script><script>document.title='broken'</script>]"


def operation(kind: str = "pull", **members: Any) -> OperationRecord:
    """One second of a pull in worker gw0 that waited half a second, changed by `members`."""
    plain: dict[str, Any] = {
        "kind": kind,
        "repository": "samples/nginx",
        "reference": "latest",
        "start": 100.0,
        "waited": 0.5,
        "duration": 1.0,
        "transferred": 3_000_000,
        "worker": "gw0",
        "test": "tests/test_it.py::test_one",
        "outcome": "done",
    }
    return OperationRecord(**{**plain, **members})


FEW = (
    operation(),
    operation(start=101.0, worker="gw1", test=HOSTILE, waited=2.0),
    operation("push", start=102.0, worker="gw10", repository="team/app", waited=0.0),
    operation("push", start=103.0, worker="gw2", outcome="failed", error="PushError: no", waited=0),
)
REFUSED = LoggedRequest(
    method="GET",
    route="blob",
    path="/v2/a/blobs/x",
    repository="a",
    reference="x",
    status=429,
    bytes_in=0,
    bytes_out=9,
    started=100.7,
    seconds=0.1,
    user_agent="t",
    account="pytest-gw0",
    worker="gw0",
    fault="throttled",
)


def many(count: int) -> list[OperationRecord]:
    """So many operations of eight workers, always the same."""
    draws = random.Random(1)
    return [
        operation(
            draws.choice(["pull", "push"]),
            start=number * 0.01,
            waited=draws.random() / 10,
            duration=draws.random() / 5,
            worker=f"gw{number % 8}",
            test=f"tests/test_it.py::test_{number % 100}",
        )
        for number in range(count)
    ]


def several(count: int, fault: str, **members: Any) -> list[LoggedRequest]:
    """So many requests that met a fault, one in each millisecond from the first second on."""
    return [
        dataclasses.replace(REFUSED, started=100.0 + number / 1000, fault=fault, **members)
        for number in range(count)
    ]


def show(
    browser: Any,
    directory: Path,
    operations: Iterable[OperationRecord],
    requests: Iterable[LoggedRequest] = (),
) -> None:
    """Open the page of a run; fails on any error in it."""
    path = directory / "run.html"
    write_report(path, picture(FACTS, operations, requests))
    browser.get_log("browser")
    browser.get(path.as_uri())
    settle(browser)


def settle(browser: Any) -> None:
    """Wait until what was asked for is drawn; fails on any error in the page."""
    browser.execute_async_script(
        "const next = () => requestAnimationFrame(arguments[0]); requestAnimationFrame(next)"
    )
    assert browser.get_log("browser") == []


def pixels(browser: Any, canvas: str = "lanes") -> str:
    """What a canvas shows."""
    return str(browser.execute_script(f"return document.getElementById('{canvas}').toDataURL()"))


def hover(
    browser: Any, seconds: float, y: float, canvas: str = "#lanes", whole: float = 4.0
) -> str:
    """Point at a time of a run of `whole` seconds in a canvas; what the tip then says."""
    from selenium.webdriver import ActionChains

    element = browser.find_element("css selector", canvas)
    width, height = element.size["width"], element.size["height"]
    x = 96 + seconds / (whole * 1.01) * (width - 96 - 10)
    ActionChains(browser).move_to_element_with_offset(
        element, x - width / 2, y - height / 2
    ).perform()
    settle(browser)
    return str(browser.find_element("id", "tip").text)


CONTRAST = """
    const style = getComputedStyle(document.documentElement);
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const light = (name) => {
      canvas.fillStyle = style.getPropertyValue(name);
      canvas.fillRect(0, 0, 1, 1);
      const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((each) => each / 255);
      const [red, green, blue] = parts.map(
        (each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const [high, low] = [light(arguments[0]), light(arguments[1])].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
"""
COLOUR = "return getComputedStyle(document.body).backgroundColor"


def prefer(browser: Any, scheme: str) -> None:
    """Have the system prefer `light` or `dark`; empty for its own choice."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    settle(browser)


def words_in(browser: Any, canvas: str = "lanes") -> list[str]:
    """What is written in a canvas."""
    browser.execute_script(
        """
        const pen = CanvasRenderingContext2D.prototype, fillText = pen.fillText;
        const name = arguments[0];
        window.written = [];
        pen.fillText = function (text, ...place) {
          if (this.canvas.id === name) window.written.push(text);
          fillText.call(this, text, ...place);
        };
        dispatchEvent(new Event("resize"));
        """,
        canvas,
    )
    settle(browser)
    return list(browser.execute_script("return window.written"))
