"""The main job, on the demo town hall and in Chromium: a citizen books, the clerk sees it, a calendar gets it."""

from __future__ import annotations

import re
import urllib.request
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from booking.appointments.models import Appointment, Booking
from booking.calendars.models import Feed
from booking.calendars.subscriptions import feed_token
from booking.db import db
from booking.worker import run_step
from tests.browser.conftest import House, opened, sign_in
from tests.conftest import KEYS

pytestmark = pytest.mark.browser

BRUSSELS = ZoneInfo("Europe/Brussels")
LEAD = "bart.hermans@lindebeek.example.org"
NAME = "Maria Testmans"


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_the_main_job(house: House, chromium: Browser, scripts: bool) -> None:
    with opened(chromium, java_script_enabled=scripts) as citizen, opened(chromium) as office:
        page = citizen.new_page()
        find_passport(page, house)
        book_first_free(page)
        read_confirmation(page, house)
        clerk = office.new_page()
        sign_in(clerk, house, LEAD)
        see_on_the_agenda(clerk, house)
        assert events(house)["STATUS"] == "CONFIRMED"
        move_to_another_day(page)
        assert events(house)["SEQUENCE"] == 1
        read_the_reminder(house)
        cancel_it(page)
        assert events(house)["STATUS"] == "CANCELLED"


def find_passport(page: Page, house: House) -> None:
    page.goto(house.url)
    expect(page.locator("h1")).to_have_text("Waarvoor komt u?")
    page.fill("#q", "reispas")
    page.press("#q", "Enter")
    page.get_by_role("link", name="Reispas aanvragen (volwassene)").click()
    expect(page.locator("h1")).to_have_text("Reispas aanvragen (volwassene)")
    expect(page.locator(".bring")).to_contain_text("pasfoto")


def book_first_free(page: Page) -> None:
    times = page.locator("form .first-free, form .clock")
    expect(times.first).to_have_class("first-free")
    first = page.locator(".first-free__when").text_content() or ""
    page.locator(".first-free").click()
    expect(page.locator(".chosen__when")).to_have_text(first)
    page.fill("#name", NAME)
    page.fill("#email", "maria.testmans@example.org")
    page.locator("form.details .actions button").click()


def read_confirmation(page: Page, house: House) -> None:
    expect(page.locator(".ticket__what")).to_contain_text("Reispas")
    expect(page.locator(".ticks")).to_contain_text("pasfoto")
    reference = page.locator(".codes dd").first.inner_text()
    assert re.fullmatch(r"[2-9A-HJ-NP-Z]{2} [2-9A-HJ-NP-Z]{2} [2-9A-HJ-NP-Z]{3}", reference)
    assert appointment(house)[0] == reference.replace(" ", "")
    page.locator("details:has(a[href$='appointment.ics']) summary").click()
    with page.expect_download() as download:
        page.locator("a[href$='appointment.ics']").click()
    calendar = icalendar.Calendar.from_ical(download.value.path().read_bytes())
    assert [event.start for event in calendar.events] == [appointment(house)[1]]


def see_on_the_agenda(page: Page, house: House) -> None:
    desk, start = appointment(house)[2], appointment(house)[1]
    page.goto(f"{house.url}/lindebeek/staff/agenda/{desk}/{start.astimezone(BRUSSELS).date()}")
    block = page.locator(".block", has_text=NAME)
    expect(block).to_contain_text(f"{start.astimezone(BRUSSELS):%H:%M}")
    block.click()
    expect(page.locator(".panel")).to_contain_text("maria.testmans@example.org")


def move_to_another_day(page: Page) -> None:
    before = page.locator(".ticket__when").text_content() or ""
    page.locator("a[href$='/move']").click()
    page.locator(".day__summary").nth(3).click()
    page.locator(".day").nth(3).locator(".clock").first.click()
    expect(page.locator(".ticket__when")).not_to_have_text(before)


def read_the_reminder(house: House) -> None:
    """The clock is moved to the evening before: the worker writes the reminder, and staff can read it."""
    start = appointment(house)[1].astimezone(BRUSSELS)
    house.clock.now = datetime.combine(start.date() - timedelta(days=1), datetime.min.time(), BRUSSELS).replace(hour=18)
    run_step(house.app, "e-mail")
    folder = house.app.extensions["balie"]["settings"].instance / "outbox" / "lindebeek"
    letters = [file.read_text() for file in folder.glob("*.eml") if "maria.testmans" in file.read_text()]
    assert [letter for letter in letters if "Subject: Herinnering" in letter]


def cancel_it(page: Page) -> None:
    page.locator("a[href$='/cancel']").click()
    page.locator("main form button").click()
    expect(page.locator(".ticket--cancelled")).to_be_visible()


def appointment(house: House) -> tuple[str | None, datetime, int]:
    """Reference, start and desk of Maria's appointment."""
    with house.app.app_context():
        found = db.session.scalars(select(Appointment).join(Booking).where(Booking.name == NAME)).one()
        return found.booking.reference, found.starts_at, found.counter.desk_id


def events(house: House) -> dict[str, object]:
    """Maria's event as a calendar program fetches it: status and sequence."""
    desk, start = appointment(house)[2], appointment(house)[1]
    with house.app.app_context():
        feed = db.session.scalars(select(Feed).where(Feed.desk_id == desk)).one()
        uid = db.session.scalars(select(Appointment.uid).join(Booking).where(Booking.name == NAME)).one()
        token = feed_token(KEYS, feed)
    with urllib.request.urlopen(f"{house.url}/lindebeek/feeds/{token}.ics") as answer:
        calendar = icalendar.Calendar.from_ical(answer.read())
    found = [event for event in calendar.events if event["UID"] == uid]
    assert [event.start for event in found] == [start]
    assert NAME not in str(found[0].to_ical())
    return {"STATUS": str(found[0]["STATUS"]), "SEQUENCE": int(found[0]["SEQUENCE"])}
