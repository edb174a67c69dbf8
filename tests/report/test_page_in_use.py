"""The page with a run's picture: large, dark, by keyboard, and with what only other clients did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.browsing import (
    COLOUR,
    CONTRAST,
    FEW,
    hover,
    many,
    operation,
    pixels,
    prefer,
    settle,
    several,
    show,
    words_in,
)


def test_it_is_light_and_dark_as_the_system_is_and_as_one_likes(few: Any) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        prefer(few, scheme)
        seen[scheme] = (few.execute_script(COLOUR), pixels(few))
        for text in ("--ink", "--quiet", "--bad", "--pull", "--push"):
            assert few.execute_script(CONTRAST, text, "--card") >= 4.5, f"{text} when {scheme}"
        for drawn in ("--throttled", "--faulty"):
            assert few.execute_script(CONTRAST, drawn, "--card") >= 3, f"{drawn} when {scheme}"
    assert seen["light"][0] != seen["dark"][0]
    assert seen["light"][1] != seen["dark"][1]
    few.find_element("id", "theme").click()
    assert few.execute_script(COLOUR) == seen["light"][0]
    prefer(few, "")


def test_a_run_of_nothing_says_so_and_draws_nothing(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, ())
    assert browser.find_element("id", "nothing").text.startswith("Nothing was asked")
    drawn = browser.find_elements("css selector", "canvas, #filter, .tile, table")
    assert not any(each.is_displayed() for each in drawn)
    show(browser, tmp_path, (), several(1200, ""))
    assert "1,200 requests reached the registry" in browser.find_element("id", "nothing").text


def test_what_other_clients_met_has_lanes_too(browser: Any, tmp_path: Path) -> None:
    fault = "fault: status 503"
    show(browser, tmp_path, (), (*several(1, "throttled"), *several(1, fault, worker="")))
    assert words_in(browser)[-2:] == ["gw0", "other clients"]
    assert "429 · throttled" in hover(browser, 0.0, 24 + 4)
    assert fault in hover(browser, 0.0, 24 + 29 + 4)
    assert not browser.find_element("id", "slowest").is_displayed()


def test_marks_are_merged_counted_and_filtered(browser: Any, tmp_path: Path) -> None:
    requests = (*several(1500, "throttled"), *several(1500, "fault: status 503"))
    show(browser, tmp_path, FEW, requests)
    assert browser.find_element("id", "undrawn").text == (
        "▼ for 2,000 requests, and 1,000 more not drawn"
    )
    both = hover(browser, 0.2, 24 + 6 - 4)
    assert " throttled, " in both
    assert both.splitlines()[0].endswith(" faulty")
    assert both.splitlines()[-1].startswith("and ")
    browser.find_element("css selector", "label:has(#throttled)").click()
    assert "throttled" not in hover(browser, 0.2, 24 + 6 - 4)
    assert "met faults" in browser.find_element("id", "tiles").text


def test_lanes_without_anything_that_is_asked_for_go(few: Any) -> None:
    tall = few.find_element("id", "lanes").size["height"]
    few.find_element("css selector", "label:has(#failed)").click()
    few.find_element("css selector", "label:has(#throttled)").click()
    names = [word for word in words_in(few) if word.startswith("gw")]
    assert set(names) == {"gw2"}
    assert few.find_element("id", "lanes").size["height"] < tall
    few.find_element("id", "words").send_keys("no such thing")
    assert "The filter leaves nothing." in words_in(few)


def test_a_tall_timeline_is_scrolled_below_its_axis(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, [operation(worker=f"gw{number}") for number in range(64)])
    frame = browser.find_element("id", "timeline")
    assert frame.size["height"] <= 560
    assert "gw63" in words_in(browser), "all lanes are named, wherever one looks"
    browser.execute_script("arguments[0].scrollTop = 1e6", frame)
    settle(browser)
    lowest = frame.size["height"] - 6 - 3 - 7
    assert "gw63 ·" in hover(browser, 1.0, lowest, "#timeline", 1.5)
    assert hover(browser, 1.0, 12, "#timeline", 1.5) == "", "the axis stays above"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.0, "test-a-long-name-8051d0/some/synthetic-27:latest"),
        (0.3, "…/synthetic-27:latest"),
        (0.175, "synthetic-27"),
        (0.125, "sy…ic-27"),
    ],
)
def test_a_bar_shows_the_end_of_its_name(
    seconds: float, text: str, browser: Any, tmp_path: Path
) -> None:
    long: dict[str, Any] = {
        "repository": "test-a-long-name-8051d0/some/synthetic-27",
        "waited": 0.0,
    }
    show(browser, tmp_path, [operation(duration=seconds, **long), operation(start=101.0, **long)])
    assert text in words_in(browser)


def test_more_than_the_limit_is_told_in_red(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, [operation(worker=f"gw{number}") for number in range(1200)])
    alert = browser.find_element("css selector", ".tile.alert").text
    assert alert == "1,200 / 2\npulls at once, at most: over the limit"


def test_tables_are_sorted_and_gone_through_by_keyboard(few: Any) -> None:
    from selenium.webdriver import Keys

    def column(place: int) -> list[str]:
        found = few.find_elements("css selector", f"#slowest td:nth-child({place})")
        return [each.text for each in found]

    few.find_element("css selector", "#slowest th:nth-child(4) button").click()
    assert column(4) == ["2.0 s", "500 ms", "0 s", "0 s"]
    few.find_element("css selector", "#slowest th:nth-child(2) button").send_keys(Keys.ENTER)
    assert column(2) == ["gw0", "gw1", "gw2", "gw10"]
    few.switch_to.active_element.send_keys(Keys.ENTER)
    assert column(2) == ["gw10", "gw2", "gw1", "gw0"]
    sorted_by = few.find_elements("css selector", "#slowest th[aria-sort=descending]")
    assert [each.text for each in sorted_by] == ["worker ▾"]
    before = pixels(few)
    few.find_element("css selector", "#slowest tbody tr[tabindex='0']").send_keys(Keys.ARROW_DOWN)
    few.switch_to.active_element.send_keys(Keys.ENTER)
    settle(few)
    assert pixels(few) != before
    assert few.find_element("id", "all").is_displayed()


def test_what_a_table_leaves_out_is_counted(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, many(2000))
    assert browser.find_element("id", "slowest-more").text == "and 1,970 more"
    assert browser.find_element("id", "waiters-more").text == "and 70 more"
