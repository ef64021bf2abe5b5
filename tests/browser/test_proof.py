"""The proof of work in Chromium, under our own content policy: nobody notices it, and nobody is kept out."""

from __future__ import annotations

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import select

from booking.appointments.models import Hold
from booking.db import db
from booking.townhall.models import Municipality
from booking.townhall.revisions import raise_town
from booking.web.citizen import proof
from tests.browser.conftest import House, opened
from tests.browser.test_pages import judge
from tests.conftest import MONDAY

pytestmark = pytest.mark.browser


@pytest.fixture
def asking(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(proof, "COST", 50)
    with house.app.app_context():
        row = db.session.get_one(Municipality, 1)
        raise_town(row, MONDAY)
        row.asks_proof = True
        db.session.commit()
    return house


def form_of(page: Page, house: House) -> None:
    page.goto(f"{house.url}/lindebeek/de/service/passport_adult")
    page.locator(".first-free").click()
    page.wait_for_selector("form.details")


def book(page: Page) -> None:
    page.fill("#name", "M. Peeters")
    page.check("#reach-3")
    page.locator("form.details .actions button").click()
    expect(page.locator(".ticket")).to_be_visible()


def proven(app: Flask) -> list[bool]:
    with app.app_context():
        return list(db.session.scalars(select(Hold.is_proven).where(Hold.browser.is_not(None)).order_by(Hold.id)))


def test_the_browser_reckons_while_the_form_is_filled_in(asking: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        form_of(page, asking)
        expect(page.locator("#proof")).not_to_have_value("")
        judge(page, "de")
        book(page)

    assert proven(asking.app) == [True]


def test_who_is_faster_waits_a_moment_and_hears_why(asking: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        held_back: list[Route] = []

        def keep(route: Route) -> None:
            held_back.append(route)

        page.route("**/pbkdf2.js*", keep)  # the worker does not come yet
        form_of(page, asking)
        page.fill("#name", "M. Peeters")
        page.check("#reach-3")
        page.locator("form.details .actions button").click()
        expect(page.locator("#proof-words")).to_contain_text("Einen Moment")
        held_back[0].continue_()
        expect(page.locator(".ticket")).to_be_visible()

    assert proven(asking.app) == [True]


def test_without_scripts_the_form_says_so_and_books(asking: House, chromium: Browser) -> None:
    with opened(chromium, java_script_enabled=False) as context:
        page = context.new_page()
        form_of(page, asking)
        expect(page.locator("noscript p")).to_be_visible()
        book(page)

    assert proven(asking.app) == [False]


def test_a_browser_that_cannot_reckon_books_as_well(asking: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        page.route("**/pbkdf2.js*", lambda route: route.abort())
        form_of(page, asking)
        book(page)

    assert proven(asking.app) == [False]
