"""The administration pages as a browser draws them: nothing that axe finds, nothing that sticks out."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import House, opened, sign_in
from tests.browser.test_pages import ADMINISTRATOR, judge, tab_to

pytestmark = pytest.mark.browser

PAGES = [
    "",
    "town",
    "offices",
    "offices/new",
    "offices/1",
    "offices/1/desks/new",
    "desks/1",
    "desks/1/services",
    "services",
    "services?q=pas",
    "services/1",
    "remove/service/1",
]


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")], ids=str)
def test_an_administration_page(demo: House, chromium: Browser, width: int, scheme: str) -> None:
    with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        sign_in(page, demo, ADMINISTRATOR)
        for path in PAGES:
            page.goto(f"{demo.url}/lindebeek/staff/admin/{path}")
            judge(page, "nl")


def test_a_mistake_is_found_by_keyboard(house: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        sign_in(page, house, ADMINISTRATOR)
        page.goto(f"{house.url}/lindebeek/staff/admin/services/1")
        tab_to(page, "#minutes")
        page.keyboard.type("7")
        page.keyboard.press("Enter")
        expect(page.locator("#problems")).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#minutes")).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type("20")
        page.keyboard.press("Enter")
        expect(page.locator(".kern-alert--success")).to_be_visible()
        judge(page, "nl")
