"""A clerk's morning by keyboard alone, and what a colleague does appears by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, opened, sign_in
from tests.browser.test_pages import tab_to

pytestmark = pytest.mark.browser

LEAD = "bart.hermans@lindebeek.example.org"


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_a_morning_by_keyboard(house: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 1280, "height": 900}) as office, opened(chromium) as other:
        page, colleague = office.new_page(), other.new_page()
        for one in (page, colleague):
            sign_in(one, house, LEAD)
            one.goto(f"{house.url}/lindebeek/staff/agenda/1")
        waiting = int(colleague.locator(".queue__count").inner_text())
        tab_to(page, "#counter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#next button")).to_be_visible()

        tab_to(page, ".block")
        first = focused(page)
        page.keyboard.press("ArrowRight")
        assert focused(page) != first
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        assert focused(page) not in ("", first)
        page.keyboard.press("ArrowUp")
        assert focused(page) == first
        tab_to(page, ".slot--expected .block")
        page.keyboard.press("a")
        for one in (page, colleague):  # the colleague has pressed nothing
            expect(one.locator(".queue__count")).to_have_text(str(waiting + 1))

        page.keyboard.press("n")
        expect(page.locator("#panel .mark--called")).to_be_visible()
        page.keyboard.press("s")
        expect(page.locator("#panel .mark--served")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#panel")).to_have_count(0)
        page.keyboard.press("?")
        expect(page.locator("#keys dl")).to_be_visible()
        page.keyboard.press("/")
        assert focused(page) == "q"
        page.keyboard.type("maes")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr").first).to_contain_text("Maes")


def test_the_keys_can_be_switched_off(demo: House, chromium: Browser) -> None:
    with opened(chromium) as office:
        page = office.new_page()
        sign_in(page, demo, LEAD)
        page.goto(f"{demo.url}/lindebeek/staff/agenda/1")
        page.locator("#keys summary").click()
        page.locator("#keys-on").uncheck()
        page.reload()
        page.keyboard.press("/")
        assert focused(page) != "q"
