"""A visit of three desks in a real browser: by keyboard alone, without scripts, on a small screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, opened
from tests.browser.test_pages import tab_to

pytestmark = pytest.mark.browser


def add(page: Page, words: str) -> None:
    """Adds one more service, found by these words."""
    tab_to(page, "a[href*='/visit/add']")
    page.keyboard.press("Enter")
    tab_to(page, "#q")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_selector(".found")
    tab_to(page, ".choices a")
    page.keyboard.press("Enter")


def test_a_visit_is_booked_moved_and_cancelled_by_keyboard_without_scripts(house: House, chromium: Browser) -> None:
    small = {"width": 320, "height": 800}
    with opened(chromium, java_script_enabled=False, viewport=small) as context:
        page = context.new_page()
        page.goto(f"{house.url}/lindebeek/nl/service/business_register")
        add(page, "identiteitskaart aanvragen")
        add(page, "bouwplan bespreken")
        expect(page.locator(".legs__desk")).to_have_count(3)
        tab_to(page, ".first-free")
        page.keyboard.press("Enter")
        tab_to(page, "#name")
        page.keyboard.type("K. Toets")
        tab_to(page, "#reach-0")
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        tab_to(page, "form.details .actions button")
        page.keyboard.press("Enter")
        expect(page.locator(".ticket .legs__desk")).to_have_count(3)

        tab_to(page, "a[href$='/visit/move']")
        page.keyboard.press("Enter")
        tab_to(page, ".first-free")
        page.keyboard.press("Enter")
        expect(page.locator(".notice")).to_contain_text("verplaatst")

        tab_to(page, "a[href$='/visit/cancel']")
        page.keyboard.press("Enter")
        tab_to(page, "main form button")
        page.keyboard.press("Enter")
        expect(page.locator(".ticket--cancelled")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") <= small["width"]
