"""The page with a run's picture, in a real browser: drawn, hovered, filtered, clicked through."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.report.browsing import HOSTILE, hover, many, pixels, settle, show


def test_the_head_tells_the_figures(few: Any) -> None:
    tiles = few.find_element("id", "tiles").text
    for words in (
        "2\npulls · 6.0 MB",
        "1 / 2\npulls at once",
        "1\npushes at once",
        "1\nrequests thro",
    ):
        assert words in tiles
    assert few.find_element("id", "about").text.startswith("embedded · http://127.0.0.1:4000 ·")
    assert few.find_element("id", "command").text.startswith("pytest -n 2 · on ci-7 · ")
    assert few.title.startswith("Registry run · pytest -n 2 · ci-7 · ")
    assert few.find_element("id", "json").get_attribute("href").endswith("/run.json")


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
        ("pull.click()", "2 of 4 operations"),
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
    origin = ScrollOrigin.from_element(lanes)
    ActionChains(few).scroll_from_origin(origin, 0, -600).perform()
    settle(few)
    assert {pixels(few)} == seen, "a wheel alone is for the page"
    zooming = ActionChains(few).key_down(Keys.CONTROL).scroll_from_origin(origin, 0, -600)
    zooming.key_up(Keys.CONTROL).perform()
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


def test_a_hostile_name_of_a_test_stays_a_text(few: Any) -> None:
    assert HOSTILE in few.find_element("id", "waiters").get_attribute("innerText")
    assert few.title.startswith("Registry run · pytest")


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
    cells = browser.find_elements("css selector", "#slowest td.wide")
    names = [each.get_attribute("title") for each in cells]
    assert sorted(re.sub(r"test-all-\d-[0-9a-f]+", "test-all", name) for name in names) == [
        "not/there:1",
        *(f"test-all/synthetic-{number}:latest" for number in range(4) for _ in ("push", "pull")),
    ]
    assert "4 pushes" in " ".join(browser.find_element("id", "tiles").text.split())
    browser.find_element("css selector", "label:has(#failed)").click()
    settle(browser)
    assert browser.find_element("id", "shown").text == "1 of 9 operations"
    assert "not/there" in browser.find_element("id", "slowest").text
