"""The page of times: narrowed down, as a month, and when nothing is free."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import delete

from booking.db import db
from booking.townhall.models import Closure, Counter, Office, OpeningHours, Service
from booking.townhall.revisions import raise_town
from tests.conftest import MONDAY
from tests.factories import Town, make_counter, make_desk, make_hours, make_office, make_service
from tests.pages import Page, Visitor

pytestmark = pytest.mark.citizen

PASSPORT = "/testdorp/en/service/passport"


@pytest.fixture
def visitor(app: Flask, town: Town) -> Visitor:
    """A town whose second counter is open on Thursday evenings and Saturdays, and whose village has a morning."""
    with app.app_context():
        second = db.session.get_one(Counter, town.counter_ids[1])
        make_hours(second, 3, 16 * 60, 19 * 60)
        make_hours(second, 5, 9 * 60, 11 * 60)
        municipality = db.session.get_one(Office, town.office_id).municipality
        db.session.get_one(Office, town.office_id).access = ["step_free"]
        village = make_office(municipality, 2)
        village.names = {"nl": "Dorpshuis", "en": "Village house"}
        counter = make_counter(make_desk(village))
        make_hours(counter, 1, 9 * 60, 10 * 60)
        make_service(municipality, "fishing", [counter])
        raise_town(municipality, MONDAY)
        db.session.commit()
    return Visitor(app)


def change(app: Flask, town: Town, what: Callable[[], object]) -> None:
    """Changes the town hall behind the visitor's back."""
    with app.app_context():
        municipality = db.session.get_one(Office, town.office_id).municipality
        what()
        raise_town(municipality, MONDAY)
        db.session.commit()


def slots(page: Page) -> list[datetime]:
    """The starts behind the buttons of the days."""
    values = [value for _name, value in page.form("/hold").buttons]
    return [datetime.fromtimestamp(int(value.split(".")[1]) * 300, UTC) for value in values]


def test_mornings_evenings_and_saturdays(visitor: Visitor) -> None:
    morning, evening = (visitor.get(f"{PASSPORT}?at={at}") for at in ("morning", "evening"))
    saturday = visitor.get(f"{PASSPORT}?at=saturday")

    assert all(start.hour < 11 for start in slots(morning))  # 11:00 UTC is noon in Brussels
    assert {start.weekday() for start in slots(evening)} == {3}
    assert all(start.hour >= 16 for start in slots(evening))
    assert {start.weekday() for start in slots(saturday)} == {5}
    assert "First free time Saturday 28 November, 09:00" in saturday.text


def test_what_is_asked_for_stays_when_something_else_is_asked_for(visitor: Visitor) -> None:
    page = visitor.get(f"{PASSPORT}?at=morning&people=2")

    assert any("people=3" in link and "at=morning" in link for link in page.links)


def test_a_wish_that_nobody_knows_is_no_wish(visitor: Visitor) -> None:
    plain, strange = visitor.get(PASSPORT), visitor.get(f"{PASSPORT}?at=midnight&office=x&access=y&month=z&from=q")

    assert slots(strange)[:20] == slots(plain)[:20] or strange.status == 200


def test_a_time_is_heard_with_its_date(visitor: Visitor) -> None:
    page = visitor.get(PASSPORT).response.get_data(as_text=True)

    assert 'aria-label="09:00, Tuesday 24 November">09:00' in page


def test_the_offices_without_steps_are_asked_for_where_that_matters(app: Flask, town: Town, visitor: Visitor) -> None:
    assert "Without steps" not in visitor.get(PASSPORT).text  # done at one office only

    def does_it_too() -> None:
        make_service_everywhere(town)

    change(app, town, does_it_too)
    page = visitor.get(f"{PASSPORT}?access=step_free")

    assert "Without steps" in page.text
    assert {value.split(".")[0] for _name, value in page.form("/hold").buttons} == {str(town.office_id)}


def make_service_everywhere(town: Town) -> None:
    """The passport is done at the village house as well."""
    from booking.townhall.models import CounterService, Desk

    counters = db.session.query(Counter).join(Desk).where(Desk.office_id != town.office_id)
    db.session.add_all(CounterService(counter_id=one.id, service_id=town.passport_id) for one in counters)


def test_a_month_leads_to_its_days(visitor: Visitor) -> None:
    month = visitor.get(f"{PASSPORT}?month=2026-12&at=saturday")

    assert "December 2026" in month.text and "Month before" in month.text
    days = [link for link in month.links if "from=2026-12" in link]
    assert [link.split("from=")[1][:10] for link in days] == ["2026-12-05", "2026-12-12", "2026-12-19", "2026-12-26"]
    assert all("at=saturday" in link for link in days)
    assert "Saturday 5 December" in visitor.get(days[0]).text


def test_a_month_without_a_free_day_is_the_first_that_has_one(visitor: Visitor) -> None:
    assert "November 2026" in visitor.get(f"{PASSPORT}?month=1999-01").text


def test_when_nothing_suits_it_says_what_else_there_is(app: Flask, town: Town, visitor: Visitor) -> None:
    def closed_on_saturdays() -> None:
        db.session.execute(delete(OpeningHours).where(OpeningHours.weekday == 5))

    change(app, town, closed_on_saturdays)
    page = visitor.get(f"{PASSPORT}?at=saturday")

    assert "Nothing is free like this" in page.text
    assert "the first is Monday 23 November, 11:00, Town hall" in page.text
    assert "+32 15 00 00 00" in page.text


def test_when_nothing_is_free_it_says_when_new_times_come(app: Flask, town: Town, visitor: Visitor) -> None:
    """Closed as far as one may book: 60 days from Monday 23 November is Friday 22 January. Then a weekend."""

    def closed_for_long() -> None:
        ends = datetime(2027, 1, 23, tzinfo=UTC)
        db.session.add(Closure(office_id=town.office_id, starts_at=MONDAY, ends_at=ends, reasons={}))
        db.session.get_one(Service, town.passport_id).walk_in = "yes"
        db.session.execute(delete(OpeningHours).where(OpeningHours.weekday == 5))

    change(app, town, closed_for_long)
    page = visitor.get(PASSPORT)

    assert "Nothing is free just now" in page.text
    assert (
        "New times come on Thursday 26 November, when the day begins. They are for Monday 25 January 2027." in page.text
    )
    assert "without an appointment" in page.text


def test_a_link_from_the_towns_own_site_leads_to_the_times(visitor: Visitor, town: Town) -> None:
    page = visitor.follow(visitor.get(f"/testdorp/?service=passport&office={town.office_id}"))

    assert page.location == f"{PASSPORT}?office={town.office_id}"
    assert visitor.get("/testdorp/en/?service=passport&people=2&_external=1").location == f"{PASSPORT}?people=2"
    assert visitor.follow(visitor.get("/testdorp/en/?service=nonsense")).status == 404
