"""The time that is kept while the form is filled in: its end is said in time, and more of it needs no new page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, opened

pytestmark = pytest.mark.browser


def form_of(page: Page, house: House) -> None:
    page.clock.install()
    page.goto(f"{house.url}/lindebeek/en/service/passport_adult")
    page.locator(".first-free").click()
    page.wait_for_selector("form.details")


def test_the_end_of_the_hold_is_announced_and_more_time_keeps_what_was_typed(house: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        form_of(page, house)
        words = page.locator("#hold-words")
        assert words.get_attribute("role") == "status"
        expect(words).to_contain_text("until 09:20")
        page.fill("#name", "Slow Typist")

        page.clock.run_for("15:01")
        expect(words).to_contain_text("5 more minutes")
        page.clock.run_for("04:00")
        expect(words).to_contain_text("1 more minute.")

        house.clock.advance(minutes=19)
        button = page.locator("#hold button")
        button.focus()
        page.keyboard.press("Enter")
        expect(words).to_contain_text("until 09:39")
        expect(page.locator("#name")).to_have_value("Slow Typist")
        assert page.evaluate("document.activeElement === document.querySelector('#hold button')")

        page.clock.run_for("20:01")
        expect(words).to_contain_text("The time we kept for you is over")
        house.clock.advance(minutes=21)
        page.check("#reach-3")
        page.locator("form.details .actions button").click()
        expect(page.locator(".ticket")).to_contain_text("Your appointment")


def test_more_time_that_is_no_longer_there_leads_to_other_times(house: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        form_of(page, house)
        page.fill("#name", "Slow Typist")
        house.clock.advance(hours=3)

        page.locator("#hold button").click()

        expect(page.locator(".notice")).to_contain_text("We cannot keep this time for you any longer")
        page.locator(".near").first.click()
        expect(page.locator("#name")).to_have_value("Slow Typist")
