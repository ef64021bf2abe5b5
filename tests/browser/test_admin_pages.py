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
    "hours",
    "hours/new?counter=1&counter=2",
    "closures",
    "closures/new?office=1",
    "closures/holidays",
    "changes",
    "staff",
    "staff/new",
    "staff/2",
    "sign-in",
    "exchange",
    "why?service=eid_apply&on=2026-11-24&at=10:20",
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


def test_the_page_of_ones_own_account(demo: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 320, "height": 900}) as context:
        page = context.new_page()
        sign_in(page, demo, ADMINISTRATOR)
        page.goto(f"{demo.url}/lindebeek/staff/account")
        judge(page, "nl")
        page.fill("#password", demo.sign_ins[ADMINISTRATOR])
        page.click("main form button")
        expect(page.locator(".qr")).to_be_visible()
        judge(page, "nl")


def test_a_closure_from_the_question_to_its_undoing(house: House, chromium: Browser) -> None:
    """Tomorrow hits many: the page asks, the answer is carried out, the messages wait, all of it is undone."""
    with opened(chromium, viewport={"width": 320, "height": 900}) as context:
        page = context.new_page()
        sign_in(page, house, ADMINISTRATOR)
        page.goto(f"{house.url}/lindebeek/staff/admin/closures/new?office=1&on=2026-11-24")
        page.locator("main .admin-form .actions button").first.click()
        expect(page.locator("h1")).to_contain_text("Dit raakt")
        judge(page, "nl")
        page.locator("button[value=move]").click()
        expect(page.locator(".kern-alert--warning")).to_contain_text("berichten wachten tot")
        judge(page, "nl")
        page.locator("form[action$='/undo'] button").click()
        expect(page.locator(".kern-alert--info")).to_contain_text("ongedaan gemaakt")
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
