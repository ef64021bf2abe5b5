"""The search of the front page while it is typed: with scripts it shows what it would find, without it searches."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import House, opened
from tests.browser.test_pages import judge, small_targets, tab_to

pytestmark = pytest.mark.browser


def test_what_a_search_would_find_is_shown_and_said_while_it_is_typed(demo: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 320, "height": 800}, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(f"{demo.url}/lindebeek/de/")
        tab_to(page, "#q")
        page.keyboard.type("reisepas")
        found = page.locator("#suggestions a")
        expect(found.first).to_contain_text("Reisepass")
        assert 1 <= found.count() <= 5
        expect(page.locator("#suggested")).to_contain_text("gefunden")
        assert page.locator("#suggested").get_attribute("role") == "status"
        judge(page, "de")
        assert small_targets(page) == []
        tab_to(page, "#suggestions a")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_contain_text("Reisepass")


def test_what_is_deleted_again_finds_nothing_and_enter_searches_as_ever(demo: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        page.goto(f"{demo.url}/lindebeek/nl/")
        page.locator("#q").press_sequentially("reispas")
        expect(page.locator("#suggestions a").first).to_be_visible()
        page.fill("#q", "")
        expect(page.locator("#suggestions")).to_be_hidden()
        page.locator("#q").press_sequentially("xylofoon")
        expect(page.locator("#suggested")).to_contain_text("0 ")
        page.fill("#q", "reispas")
        page.keyboard.press("Enter")
        expect(page.locator(".found")).to_be_visible()


def test_without_scripts_there_is_the_search_alone(demo: House, chromium: Browser) -> None:
    with opened(chromium, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{demo.url}/lindebeek/nl/")
        page.fill("#q", "reispas")
        expect(page.locator("#suggestions")).to_be_hidden()
        page.keyboard.press("Enter")
        expect(page.locator(".choices a").first).to_contain_text("Reispas")
