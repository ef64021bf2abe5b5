"""Administration by keyboard alone: a file from choosing it to undoing it, a step for which one types, an undo."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from booking.db import db
from booking.exchange.imports import PARTS
from booking.townhall.models import Municipality
from tests.browser.conftest import House, opened, sign_in
from tests.browser.test_admin_pages import PAGES
from tests.browser.test_pages import ADMINISTRATOR, judge, tab_to

pytestmark = pytest.mark.browser

SEEN = """() => {
    const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
        && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
}"""


OWN = ["../feeds", "../feeds/new", "../feeds/1", "../devices", "../account", "../outbox/preview"]

# Notes what gets the focus, and whether that can be seen; says how often Tab must be pressed to come through the page.
WATCH = """() => {
    const all = "a[href], button, input:not([type=hidden], [type=radio]), select, textarea, summary, [tabindex='0']";
    const there = [...document.querySelectorAll(all)].filter(one => one.checkVisibility() && !one.disabled);
    window.missed = new Set(there);
    window.unseen = [];
    addEventListener("focusin", ({target}) => {
        const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(target);
        missed.delete(target);
        if ((outlineStyle === "none" || parseFloat(outlineWidth) < 2) && boxShadow === "none") unseen.push(target);
    });
    const parts = {date: 4, time: 4};  // the day, the month … of a date are stops of their own
    return there.reduce((sum, one) => sum + (parts[one.type] || 1), 4);  // some more: radio buttons share a stop
}"""
FOUND = "() => [[...missed], unseen].map(found => found.map(one => one.outerHTML.slice(0, 120)))"


def press(page: Page, selector: str) -> None:
    """Goes there with Tab, sees where one is, and presses Enter."""
    tab_to(page, selector)
    page.wait_for_function(SEEN)  # once the page has rolled there
    page.keyboard.press("Enter")


def told(page: Page, kind: str) -> None:
    """The next page says what happened, and the focus is where it is said."""
    expect(page.locator(f".kern-alert--{kind}").first).to_be_focused()
    judge(page, "nl")


def changed_files(house: House, folder: Path) -> Path:
    """Other addresses of each desk, and no hours on Tuesday mornings, which hits somebody."""
    with house.app.app_context():
        town = db.session.scalars(select(Municipality).where(Municipality.slug == "lindebeek")).one()
        texts = {part.name: part.written(town) for part in PARTS if part.name in ("desks", "hours")}
        db.session.remove()
    texts["desks"] = texts["desks"].replace("@", "@new.")
    texts["hours"] = "".join(line for line in texts["hours"].splitlines(keepends=True) if ",2,09:00" not in line)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, text in texts.items():
            file.writestr(f"{name}.csv", text)
    (folder / "town.zip").write_bytes(packed.getvalue())
    return folder / "town.zip"


def test_a_file_by_keyboard_from_choosing_it_to_undoing_it(house: House, chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        sign_in(page, house, ADMINISTRATOR)
        page.goto(f"{house.url}/lindebeek/staff/admin/exchange")
        with page.expect_file_chooser() as choosing:
            press(page, "#file")
        choosing.value.set_files(changed_files(house, tmp_path))
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")

        told(page, "info")
        expect(page.locator(".differences li").first).to_be_visible()
        press(page, "button[value=keep]")
        told(page, "success")
        expect(page.locator(".progress progress").last).to_have_attribute("value", "100")

        press(page, ".kern-alert--success a")
        press(page, "form[action$='/undo'] button")
        told(page, "success")
        expect(page.locator(".kern-alert--info")).to_contain_text("ongedaan gemaakt")

        page.goto(f"{house.url}/lindebeek/staff/admin/exchange")
        press(page, "section[aria-labelledby=back] button")
        told(page, "info")
        expect(page.locator("h1")).to_have_text("Wat het bestand zou veranderen")
        press(page, "main .actions button")
        told(page, "success")


def test_a_step_that_ends_something_by_keyboard(house: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 320, "height": 900}, color_scheme="dark") as context:
        page = context.new_page()
        sign_in(page, house, ADMINISTRATOR)
        page.goto(f"{house.url}/lindebeek/staff/admin/staff/2")
        name = page.locator("h1").inner_text()
        press(page, ".typed-step summary")
        tab_to(page, "#typed-invite")
        page.keyboard.type("somebody else")
        page.keyboard.press("Enter")
        expect(page.locator("#problems")).to_be_focused()
        judge(page, "nl")
        press(page, "#problems a")
        expect(page.locator("#typed-invite")).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        told(page, "success")


def test_a_form_is_saved_and_undone_by_keyboard(house: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        sign_in(page, house, ADMINISTRATOR)
        page.goto(f"{house.url}/lindebeek/staff/admin/offices/1")
        tab_to(page, "#address")
        before = page.locator("#address").input_value()
        page.keyboard.press("Control+A")
        page.keyboard.type("Kerkstraat 1")
        page.keyboard.press("Enter")
        told(page, "success")
        expect(page.locator("#address")).to_have_value("Kerkstraat 1")
        press(page, ".kern-alert--success button")
        told(page, "success")
        expect(page.locator("#address")).to_have_value(before)


def test_all_that_can_be_done_on_a_page_can_be_reached_and_seen(demo: House, chromium: Browser) -> None:
    """With Tab alone, on every page of the administration and on those of what staff have of their own."""
    with opened(chromium, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        sign_in(page, demo, ADMINISTRATOR)
        for path in [*PAGES, *OWN]:
            page.goto(f"{demo.url}/lindebeek/staff/admin/{path}")
            for _ in range(page.evaluate(WATCH)):
                page.keyboard.press("Tab")
            assert page.evaluate(FOUND) == [[], []], path
