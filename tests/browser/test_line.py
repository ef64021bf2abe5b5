"""The line before the times, in Chromium: how it is seen and heard, with scripts and without."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from booking.appointments.crowd import look_again_at
from booking.appointments.models import CrowdPlace
from booking.db import db
from booking.townhall.models import Desk, Municipality
from booking.townhall.revisions import raise_town
from tests.browser.conftest import House, opened
from tests.browser.test_pages import judge, tab_to
from tests.conftest import MONDAY

pytestmark = pytest.mark.browser

WHERE = "service/passport_adult"


def crowded(app: Flask, others: int, now: datetime = MONDAY) -> None:
    """At the desks one citizen chooses at once; one does, and others stand in the line."""
    with app.app_context():
        raise_town(db.session.get_one(Municipality, 1), MONDAY)
        desks = db.session.query(Desk).filter_by(key="civil").all()
        until = now + timedelta(hours=1)
        for desk in desks:
            desk.crowd_size = 1
            db.session.add_all(
                CrowdPlace(desk_id=desk.id, address="x", came_at=now, kept_until=until) for _ in range(others)
            )
        db.session.commit()


def one_has_chosen(house: House) -> None:
    """The first in each line leaves it."""
    with house.app.app_context():
        for desk in db.session.query(Desk).filter_by(key="civil").all():
            first = (
                db.session.query(CrowdPlace).filter_by(desk_id=desk.id, left_at=None).order_by(CrowdPlace.id).first()
            )
            assert first
            db.session.execute(update(CrowdPlace).where(CrowdPlace.id == first.id).values(left_at=MONDAY))
            db.session.commit()
            look_again_at([desk.id])


def in_line(page: Page, house: House, language: str = "en") -> None:
    page.goto(f"{house.url}/lindebeek/{language}/{WHERE}")
    page.locator(".line__take button").click()
    page.wait_for_selector(".line__number")


def test_the_line_is_seen_and_said_and_the_turn_comes_by_itself(house: House, chromium: Browser) -> None:
    crowded(house.app, 2)
    with opened(chromium) as context:
        page = context.new_page()
        page.clock.install()
        in_line(page, house)
        expect(page.locator(".line__number")).to_have_text("You are number 2 in the line.")
        expect(page.locator("#line-self")).to_be_visible()
        said = page.locator("#line-said")
        assert said.get_attribute("role") == "status"
        tab_to(page, ".line__again a")

        one_has_chosen(house)
        page.clock.run_for("01:01")
        expect(page.locator(".line__number")).to_have_text("You are next.")
        expect(said).to_contain_text("You are next.")
        assert page.evaluate("document.activeElement.matches('.line__again a')")  # nobody loses the focus

        one_has_chosen(house)
        page.clock.run_for("00:31")
        expect(said).to_have_text("It is your turn.")
        assert page.title().startswith("It is your turn.")
        page.keyboard.press("Enter")
        page.locator(".first-free").click()
        expect(page.locator("form.details")).to_be_visible()


def test_without_scripts_a_link_looks_again(house: House, chromium: Browser) -> None:
    crowded(house.app, 1)
    with opened(chromium, java_script_enabled=False) as context:
        page = context.new_page()
        in_line(page, house)
        expect(page.locator(".line__number")).to_have_text("You are next.")
        expect(page.locator("#line-self")).to_be_hidden()
        one_has_chosen(house)
        page.locator(".line__again a").click()
        page.locator(".first-free").click()
        expect(page.locator("form.details")).to_be_visible()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_line_in_all_looks(house: House, chromium: Browser) -> None:
    crowded(house.app, 3)
    for width, scheme, language in (
        (320, "dark", "de"),
        (320, "light", "fr"),
        (1280, "light", "nl"),
        (1280, "dark", "en"),
    ):
        with opened(chromium, viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(f"{house.url}/lindebeek/{language}/{WHERE}")
            judge(page, language)
            page.locator(".line__take button").click()
            page.wait_for_selector(".line__number")
            judge(page, language)
