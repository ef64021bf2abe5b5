"""The administration pages as a browser draws them: nothing that axe finds, nothing that sticks out."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from booking.db import db
from booking.exchange import hours as hours_part
from booking.townhall.models import Municipality
from tests.browser.conftest import House, opened, sign_in
from tests.browser.test_pages import ADMINISTRATOR, judge, tab_to

pytestmark = pytest.mark.browser

PAGES = [
    "",
    "town",
    "town/logo",
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
    "services?page=2",
    "services?q=nothing-like-it",
    "services/new",
    "services/1",
    "services/1/questions",
    "remove/service/1",
    "remove/office/1",
    "remove/desk/1",
    "remove/counter/1",
]
ELSEWHERE = {"admin.changes_one"}  # looked at where a change is made

# Forms that are sent with something wrong in them: the page, and what is typed over what stands there.
MISTAKES = {
    "town": {"#phone": "none"},
    "offices/new": {},
    "offices/1": {"#address": ""},
    "offices/1/desks/new": {},
    "desks/1": {"#email": "nobody"},
    "closures/new": {},
    "closures/new?office=1": {"#first_on": "2020-01-01"},
    "hours/new?counter=1": {"#week-0": "nine to five"},
    "staff/new": {},
    "staff/2": {"#email": "nobody"},
    "services/new": {},
    "services/1": {"#minutes": "7"},
}


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")], ids=str)
def test_an_administration_page(demo: House, chromium: Browser, width: int, scheme: str) -> None:
    with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        sign_in(page, demo, ADMINISTRATOR)
        for path in PAGES:
            page.goto(f"{demo.url}/lindebeek/staff/admin/{path}")
            judge(page, "nl")


def test_no_page_of_the_administration_is_left_out(demo: House) -> None:
    places = demo.app.url_map.bind("localhost")
    seen = {places.match(f"/staff/admin/{path}".partition("?")[0], method="GET")[0] for path in PAGES}

    there = {rule.endpoint for rule in demo.app.url_map.iter_rules() if "GET" in (rule.methods or ())}

    assert {one for one in there if one.startswith("admin.")} - seen == ELSEWHERE


@pytest.mark.parametrize("width", [320, 1280])
def test_a_form_with_a_mistake(demo: House, chromium: Browser, width: int) -> None:
    with opened(chromium, viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        sign_in(page, demo, ADMINISTRATOR)
        for path, typed in MISTAKES.items():
            page.goto(f"{demo.url}/lindebeek/staff/admin/{path}")
            for field, text in typed.items():
                page.fill(field, text)
            page.locator("main .admin-form .actions button").first.click()
            expect(page.locator("#problems")).to_be_focused()
            judge(page, "nl")


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")], ids=str)
def test_a_file_from_the_first_look_to_the_undoing(house: House, chromium: Browser, width: int, scheme: str) -> None:
    with house.app.app_context():
        hours = hours_part.PART.written(
            db.session.scalars(select(Municipality).where(Municipality.slug == "lindebeek")).one()
        )
        db.session.remove()
    on_tuesdays = "".join(line for line in hours.splitlines(keepends=True) if ",2,09:00" not in line)
    files = {
        "nothing": ("office,desk,counter\r\nNergens,civil,1\r\n", ".kern-alert--danger"),
        "the same": (hours, ".kern-alert--info"),
        "others": (on_tuesdays, "button[value=keep]"),
    }
    with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        sign_in(page, house, ADMINISTRATOR)
        for content, shows in files.values():
            page.goto(f"{house.url}/lindebeek/staff/admin/exchange")
            file = {"name": "file.csv", "mimeType": "text/csv", "buffer": content.encode()}
            page.set_input_files("#file", file)  # type: ignore[arg-type]
            page.locator("main .admin-form .actions button").click()
            expect(page.locator(shows).first).to_be_visible()
            judge(page, "nl")
        page.evaluate("document.querySelector('input[name^=start-]').value = '1'")  # a time that nobody can have
        page.locator("button[value=move]").click()
        expect(page.locator(".kern-alert--warning")).to_be_focused()
        judge(page, "nl")
        page.locator("button[value=keep]").click()
        expect(page.locator(".kern-alert--success")).to_be_visible()
        judge(page, "nl")
        page.locator(".kern-alert--success a").click()
        page.locator("form[action$='/undo'] button").click()
        expect(page.locator(".kern-alert--info")).to_contain_text("ongedaan gemaakt")


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
