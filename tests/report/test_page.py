"""The page with a run's picture, in a real browser: drawn, hovered, filtered, clicked through."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_registry.report.html import page, write_report
from pytest_registry.report.picture import RunFacts, picture
from pytest_registry.report.records import OperationRecord
from pytest_registry.report.traffic import LoggedRequest

FACTS = RunFacts("embedded", "asked for", "http://127.0.0.1:4000", 0.07, {"pull": 2, "push": None})
# As root and without a network; see Chromium's own list of switches.
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1280,1600",
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


def test_the_data_beside_the_page_is_the_whole_picture(tmp_path: Path) -> None:
    beside = write_report(tmp_path / "new" / "run.html", picture(FACTS, FEW, [REFUSED]))
    assert beside == tmp_path / "new" / "run.json"
    data = json.loads(beside.read_text())
    assert data["began"] == 100.0
    assert data["seconds"] == 4.0
    assert [each["start"] for each in data["operations"]] == [0.0, 1.0, 2.0, 3.0]
    assert [each["kind"] for each in data["figures"]] == ["pull", "push"]
    assert data["traffic"] == {
        **{"requests": 1, "throttled": 1, "faulty": 0, "bytes_in": 0, "bytes_out": 9}
    }
    assert data["tests"][0] == {
        **{"test": HOSTILE, "waited": 2.0, "operations": 1, "seconds": 1.0},
        "transferred": 3_000_000,
    }
    assert data["marks"][0]["fault"] == "throttled"


def test_the_page_needs_nothing_from_outside() -> None:
    text = page(picture(FACTS, FEW, [REFUSED]))
    markup = text.replace("http://127.0.0.1:4000", "")
    assert not re.findall(r"""(?:https?:)?//[\w.-]+\.\w+|\bsrc=|<link|@import|url\(""", markup)
    assert "default-src 'none'" in text


def test_a_report_of_nothing_can_be_drawn_too(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, [])
    assert browser.find_element("id", "shown").text == "0 operations"


# In a browser -----------------------------------------------------------------------------------


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
    with tempfile.TemporaryDirectory() as profile:
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        found = webdriver.Chrome(options, webdriver.ChromeService(driver))
        yield found
        found.quit()


def show(
    browser: Any,
    directory: Path,
    operations: list[OperationRecord],
    requests: tuple[LoggedRequest, ...] = (),
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


def hover(browser: Any, seconds: float, y: float, canvas: str = "#lanes") -> str:
    """Point at a time in a canvas; what the tip then says."""
    from selenium.webdriver import ActionChains

    element = browser.find_element("css selector", canvas)
    width, height = element.size["width"], element.size["height"]
    x = 96 + seconds / (4.0 * 1.01) * (width - 96 - 10)
    ActionChains(browser).move_to_element_with_offset(
        element, x - width / 2, y - height / 2
    ).perform()
    settle(browser)
    return str(browser.find_element("id", "tip").text)


@pytest.fixture
def few(browser: Any, tmp_path: Path) -> Any:
    """The page of four operations."""
    show(browser, tmp_path, list(FEW), (REFUSED,))
    return browser


def test_the_head_tells_the_figures(few: Any) -> None:
    tiles = few.find_element("id", "tiles").text
    for words in ("2\npulls · 6.0 MB", "1 / 2\npulls at once", "1\npushes at once", "1 · 0\nthro"):
        assert words in tiles
    assert few.find_element("id", "about").text.startswith("embedded · http://127.0.0.1:4000 ·")
    assert few.title == "Registry run"


def test_a_bar_says_what_it_is_when_pointed_at(few: Any) -> None:
    said = hover(few, 1.0, 24 + 6 + 7)
    assert said.splitlines() == [
        "pull of samples/nginx:latest",
        "tests/test_it.py::test_one",
        "gw0 · at 0 s · waited 500 ms · took 1.0 s",
        "3.0 MB · 3.0 MB/s",
    ]
    assert "429 · throttled" in hover(few, 0.7, 24 + 6 - 4)
    assert hover(few, 3.9, 24 + 6 + 7) == ""


def test_the_slots_in_use_are_told_for_a_time(few: Any) -> None:
    few.execute_script("document.querySelector('.chart canvas').scrollIntoView()")
    said = hover(few, 3.2, 40, ".chart canvas").splitlines()
    assert said[1:] == ["1 pulls of 2", "1 pushes"]


def test_the_lanes_are_the_workers_in_their_order(few: Any) -> None:
    rows = few.execute_script(
        "return [...document.querySelectorAll('#slowest tbody tr')].map((row) => row.innerText)"
    )
    assert len(rows) == 4
    assert hover(few, 3.5, 24 + 2 * 29 + 6 + 7).startswith("push of samples/nginx:latest")


@pytest.mark.parametrize(
    ("action", "shown"),
    [
        ("words.value = 'team/app'; fire(words)", "1 of 4 operations"),
        ("words.value = 'gw1 script'; fire(words)", "1 of 4 operations"),
        ("pulls.click()", "2 of 4 operations"),
        ("failed.click()", "1 of 4 operations"),
        ("waited.click()", "2 of 4 operations"),
    ],
)
def test_operations_are_filtered(few: Any, action: str, shown: str) -> None:
    before = pixels(few)
    few.execute_script(f"const fire = (field) => field.dispatchEvent(new Event('input')); {action}")
    settle(few)
    assert few.find_element("id", "shown").text == shown
    assert pixels(few) != before
    rows = few.find_elements("css selector", "#slowest tbody tr")
    assert str(len(rows)) == shown.split(maxsplit=1)[0]


def test_a_row_of_a_table_leads_to_its_bar_and_back(few: Any) -> None:
    before = pixels(few)
    few.find_element("css selector", "#slowest tbody tr").click()
    settle(few)
    assert pixels(few) != before
    few.find_element("id", "all").click()
    settle(few)
    assert not few.find_element("id", "all").is_displayed()
    few.find_element("css selector", "#waiters tbody tr").click()
    settle(few)
    assert few.find_element("id", "shown").text == "1 of 4 operations"


def test_the_timeline_is_zoomed_and_moved_by_mouse_and_keys(few: Any) -> None:
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    lanes = few.find_element("id", "lanes")
    seen = {pixels(few)}
    ActionChains(few).scroll_from_origin(ScrollOrigin.from_element(lanes), 0, -600).perform()
    settle(few)
    seen.add(pixels(few))
    ActionChains(few).drag_and_drop_by_offset(lanes, -150, 0).perform()
    settle(few)
    seen.add(pixels(few))
    lanes.send_keys(Keys.ARROW_RIGHT)
    settle(few)
    seen.add(pixels(few))
    assert len(seen) == 4
    lanes.send_keys("0")
    settle(few)
    assert not few.find_element("id", "all").is_displayed()


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


def test_it_is_light_and_dark_as_the_system_is_and_as_one_likes(few: Any) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        prefer(few, scheme)
        seen[scheme] = (few.execute_script(COLOUR), pixels(few))
        for text in ("--ink", "--quiet", "--bad"):
            assert few.execute_script(CONTRAST, text, "--card") >= 4.5, f"{text} when {scheme}"
        for drawn in ("--pull", "--push"):
            assert few.execute_script(CONTRAST, drawn, "--card") >= 3, f"{drawn} when {scheme}"
    assert seen["light"][0] != seen["dark"][0]
    assert seen["light"][1] != seen["dark"][1]
    few.find_element("id", "theme").click()
    assert few.execute_script(COLOUR) == seen["light"][0]
    prefer(few, "")


def test_a_hostile_name_of_a_test_stays_a_text(few: Any) -> None:
    assert HOSTILE in few.find_element("id", "waiters").get_attribute("innerText")
    assert few.title == "Registry run"


def test_ten_thousand_operations_are_drawn_in_no_time(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, many(10_000))
    assert browser.find_element("id", "shown").text == "10,000 operations"
    assert hover(browser, 2.0, 24 + 6 + 7).startswith(("pull of", "push of"))
    frames = browser.execute_async_script(
        """
        const done = arguments[0], begin = performance.now();
        const lanes = document.getElementById("lanes");
        let count = 0;
        const next = () => {
          lanes.dispatchEvent(new KeyboardEvent("keydown", { key: count % 2 ? "+" : "-" }));
          if (++count < 20) requestAnimationFrame(next);
          else done((performance.now() - begin) / count);
        };
        next();
        """
    )
    assert frames < 1000, f"a frame takes {frames:.0f} ms"


def test_ten_thousand_operations_are_filtered_while_one_types(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, many(10_000))
    browser.find_element("id", "words").send_keys("gw3 test_11 push")
    settle(browser)
    text = browser.find_element("id", "shown").text
    count = sum(
        each.worker == "gw3" and each.kind == "push" and "test_11" in each.test
        for each in many(10_000)
    )
    assert text == f"{count} of 10,000 operations"
    rows = browser.find_elements("css selector", "#slowest tbody tr")
    assert len(rows) == min(count, 30)
    assert all("gw3" in row.text for row in rows)
    most = browser.execute_script("return document.documentElement.scrollHeight")
    assert most < 5000, "the page grows with the run"


def test_the_page_of_a_real_run_is_drawn(browser: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import RegistryError, synthetic_image

        @pytest.mark.parametrize("number", range(4))
        def test_all(registry, registry_push, number):
            image = registry_push(synthetic_image(number))
            with registry.faults("GET blob", status=503, times=1):
                registry.client.pull(image.repository, image.tag)

        def test_that_fails(registry):
            with pytest.raises(RegistryError):
                registry.client.pull("not/there", "1")
        """
    )
    options = ("--registry-engine=embedded", "-n2", "--registry-report=run.html")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=5)
    browser.get((pytester.path / "run.html").as_uri())
    settle(browser)
    assert browser.find_element("id", "shown").text == "9 operations"
    names = [each.text for each in browser.find_elements("css selector", "#slowest td.wide")]
    assert sorted(re.sub(r"test-all-\d-[0-9a-f]+", "test-all", name) for name in names) == [
        "not/there:1",
        *(f"test-all/synthetic-{number}:latest" for number in range(4) for _ in ("push", "pull")),
    ]
    assert "4 pushes" in " ".join(browser.find_element("id", "tiles").text.split())
    browser.find_element("css selector", "label:has(#failed)").click()
    settle(browser)
    assert browser.find_element("id", "shown").text == "1 of 9 operations"
    assert "not/there" in browser.find_element("id", "slowest").text
