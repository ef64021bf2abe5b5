"""A town with many offices: its pages stay short, say what they leave out, and ask the database no more often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from booking import links
from booking.appointments.booking import Citizen, book
from booking.appointments.holds import hold
from booking.appointments.models import Channel
from booking.appointments.offers import Demand
from booking.db import begin_write, db
from booking.links import own_path
from booking.staff.audit import citizen_of
from booking.staff.models import Staff
from booking.townhall.models import Counter, Municipality, Office, Service
from tests.conftest import KEYS, MONDAY
from tests.factories import Town, make_counter, make_desk, make_hours, make_office, make_service
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN, fill
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall

OFFICES = 60  # besides the first
HOME = "/testdorp/en/"


@pytest.fixture
def city(app: Flask, town: Town, management: None) -> None:
    """Sixty offices more, each with a desk and a counter that gives passports at nine on Tuesdays."""
    with app.app_context():
        municipality = db.session.get_one(Municipality, town.municipality_id)
        counters = []
        for number in range(2, OFFICES + 2):
            office = make_office(municipality, number)
            office.names, office.address = {"nl": f"Wijk {number}"}, f"Dorpsstraat {number}, 1000 Testdorp"
            counters.append(make_counter(make_desk(office), number + 10))
            make_hours(counters[-1], 1, 540, 600)
        make_service(municipality, "permit", counters, minutes=15)
        for number in range(70):
            make_service(municipality, f"other_{number}", [], minutes=15)
        db.session.commit()


@contextmanager
def queries(app: Flask) -> Iterator[list[str]]:
    """The statements that are sent."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["", "offices", "services?q=passport", "service/permit"])
def test_a_citizens_page_asks_the_database_no_more_often_than_in_a_small_town(
    app: Flask, city: None, path: str
) -> None:
    visitor = Visitor(app)
    visitor.get(f"{HOME}{path}")

    with queries(app) as seen:
        assert visitor.get(f"{HOME}{path}").status == 200

    assert len(seen) <= 4


@pytest.mark.parametrize("path", ["services", "offices", "hours", "closures/new", "staff", "why"])
def test_a_page_of_the_administration_asks_the_database_no_more_often(app: Flask, city: None, path: str) -> None:
    mia = signed_in(app, "ann")
    mia.get(f"{ADMIN}/{path}")

    with queries(app) as seen:
        assert mia.get(f"{ADMIN}/{path}").status == 200

    assert len(seen) <= 8


@pytest.mark.parametrize(
    ("path", "most"), [("services", 2), ("offices", 2), ("closures/new", 2), ("why", 2), ("desks/1", 2), ("hours", 3)]
)
def test_what_stands_in_memory_is_asked_for_no_more_and_the_account_comes_with_the_town(
    app: Flask, city: None, path: str, most: int
) -> None:
    mia, fetched = signed_in(app, "ann"), list[object]()
    mia.get(f"{ADMIN}/{path}")
    with app.app_context():
        pool = db.engine.pool

    def fetch(_connection: object, *record: object) -> None:
        fetched.append(record)

    event.listen(pool, "checkout", fetch)
    with queries(app) as seen:
        assert mia.get(f"{ADMIN}/{path}").status == 200
    event.remove(pool, "checkout", fetch)

    assert len([one for one in seen if one.startswith("SELECT")]) == most
    assert len(fetched) == most - 1


def test_the_front_page_leads_to_the_offices_instead_of_listing_them(app: Flask, city: None) -> None:
    visitor = Visitor(app)

    home = visitor.get(HOME)
    page = visitor.get(home.link("/offices"))

    assert "Wijk 7" not in home.text and "All 61 offices" in home.text
    assert "61 offices" in page.text and "Wijk 7" in page.text and "Page 1 of 6" in page.text
    assert "Wijk 61" in visitor.get(f"{HOME}offices?page=6").text
    assert "Wijk 61" in visitor.get(f"{HOME}offices?page=999").text
    found = visitor.get(f"{HOME}offices?q=dorpsstr 33")
    assert "1 office" in found.text and "Wijk 33" in found.text and "09:00–10:00" in found.text


def test_a_day_with_many_times_shows_the_soonest_and_how_to_see_the_others(app: Flask, city: None) -> None:
    visitor = Visitor(app)

    page = visitor.get(f"{HOME}service/permit")
    one = visitor.get(f"{HOME}service/permit?office=33&people=1")

    slots = [value for form in page.forms for name, value in form.buttons if name == "slot"]
    assert "30 times" in page.text and "too many times to show all" in page.text
    assert len({slot.partition(".")[0] for slot in slots}) == 3
    assert [form for form in page.forms if form.method == "get" and "office" in form.values]
    assert "too many times" not in one.text and "10 times" in one.text


def test_a_visit_with_many_places_to_begin_says_so_and_asks_where(app: Flask, city: None) -> None:
    with app.app_context():
        municipality = db.session.scalars(select(Municipality)).one()
        counters = list(db.session.scalars(select(Counter).where(Counter.number > 10)))
        make_service(municipality, "stamp", counters, minutes=10)
        db.session.commit()
    visitor, visit = Visitor(app), "visit?service=permit.1&service=stamp.1"

    page = visitor.get(f"{HOME}{visit}")
    one = visitor.get(f"{HOME}{visit}&office=33")

    assert "too many times to show all" in page.text and "Where do you begin?" in page.text
    (form,) = [form for form in page.forms if "office" in form.values]
    assert form.method == "get" and form.action.endswith("/visit")
    assert "too many times" not in one.text
    slots = {value.partition(".")[0] for form in one.forms for name, value in form.buttons if name == "slot"}
    assert slots == {"33"}
    assert "office=33" in next(link for link in one.links if "from=" in link)
    for language, words in (("nl", "te veel tijden"), ("fr", "trop d"), ("de", "zu viele")):
        assert words in visitor.get(f"/testdorp/{language}/{visit}").text.lower()


def test_services_offices_and_staff_are_listed_page_by_page(app: Flask, city: None) -> None:
    ann = signed_in(app, "ann")

    first, last = ann.get(f"{ADMIN}/services"), ann.get(f"{ADMIN}/services?page=2")
    offices = ann.get(f"{ADMIN}/offices?q=wijk&page=2")

    assert "Page 1 of 2" in first.text and "Other_3 (en)" in first.text and "Other_69 (en)" not in first.text
    assert "Other_69 (en)" in last.text and "Wijk 2, Wijk 3, Wijk 4 and 57 more" in first.text
    assert "60 of 61" in offices.text and "Page 2 of 3" in offices.text
    assert any("q=wijk" in link and "page=3" in link for link in offices.links)


def test_a_clerk_of_many_desks_chooses_one_from_a_list(app: Flask, city: None) -> None:
    ann = signed_in(app, "ann")
    page = ann.follow(ann.get("/testdorp/staff/"))
    form = next(form for form in page.forms if "desk" in form.values)

    chosen = ann.get(f"{form.action}?desk=33&day=2026-11-24")

    assert form.method == "get" and chosen.location.endswith("/agenda/33/2026-11-24")
    assert ann.get(f"{form.action}?desk=999").location.endswith("/agenda/1")


def test_counters_are_closed_office_by_office(app: Flask, city: None) -> None:
    mia = signed_in(app, "mia")

    page, of_one = mia.get(f"{ADMIN}/closures/new"), mia.get(f"{ADMIN}/closures/new?office=33&on=2026-12-24")

    assert "Counter 43" not in page.text
    assert "Counter 43" in of_one.text and "Counter 44" not in of_one.text
    chosen = next(form for form in of_one.forms if form.method == "get" and "office" in form.values)
    assert (chosen.values["office"], chosen.values["on"]) == ("33", "2026-12-24")


def test_why_not_is_answered_for_the_office_that_is_asked_about(app: Flask, city: None) -> None:
    mia = signed_in(app, "mia")
    question = f"{ADMIN}/why?service=permit&on=2026-11-24&at=09:00"

    first, one, none = mia.get(question), mia.get(f"{question}&office=33"), mia.get(f"{question}&office=1")

    assert "No counter of this office does this service." in first.text
    assert one.text.count("This time is offered to citizens.") == 1 and "Counter 43" in one.text
    assert "No counter of this office does this service." in none.text


def test_an_appointment_moves_within_its_office_or_to_one_that_is_chosen(app: Flask, city: None, town: Town) -> None:
    at = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    with app.app_context():
        begin_write()
        office = db.session.get_one(Office, 33)
        service = db.session.scalars(select(Service).where(Service.key == "permit")).one()
        kept = hold(office, Demand(service), at, MONDAY)
        book(kept, Citizen("Zoë", "en", None), Channel.WEB, citizen_of(town.municipality_id), MONDAY)
        db.session.commit()
    visitor, own = Visitor(app), f"/testdorp{own_path('en', links.token(KEYS, 'booking', 1, 1))}"

    page, other = visitor.get(f"{own}/1/move"), visitor.get(f"{own}/1/move?office=7")

    def offices(page: Page) -> set[str]:
        return {value.partition(".")[0] for form in page.forms for name, value in form.buttons if name == "slot"}

    assert (offices(page), offices(other)) == ({"33"}, {"7"})
    assert next(form for form in page.forms if form.method == "get").values["office"] == "33"


def test_a_way_to_another_office_is_added_by_its_name(app: Flask, town: Town, city: None) -> None:
    """The page lists the ways that there are, and not a field for each of the sixty."""
    mia, path = signed_in(app, "mia"), f"/offices/{town.office_id}"
    assert not [name for name in form_of(mia, path) if name.startswith("ways-") and "add" not in name]
    with app.app_context():
        near, far = db.session.scalars(select(Office.id).order_by(Office.id)).all()[7:9]
    typed = {"ways-add-0": str(near), "ways-add-0-minutes": "7", "ways-add-2": str(far), "ways-add-2-minutes": "40"}

    assert fill(mia, path, **{**typed, "ways-add-2-minutes": ""}).status == 422
    assert fill(mia, path, **{**typed, "ways-add-2": ""}).status == 422
    assert fill(mia, path, **typed).status == 303

    given = {name: text for name, text in form_of(mia, path).items() if name.startswith("ways-") and text}
    assert given == {f"ways-{near}": "7", f"ways-{far}": "40"}
    fill(mia, path, **{f"ways-{far}": ""})
    assert form_of(mia, f"/offices/{near}")[f"ways-{town.office_id}"] == "7"  # the same way back
    assert f"ways-{town.office_id}" not in form_of(mia, f"/offices/{far}")


def test_a_role_at_another_place_is_added_by_its_name(app: Flask, town: Town, city: None) -> None:
    ann = signed_in(app, "ann")
    with app.app_context():
        office_id = db.session.scalars(select(Office.id).order_by(Office.id)).all()[7]
        id = db.session.scalars(select(Staff.id).where(Staff.email == "dora@testdorp.example.org")).one()
    path, place = f"/staff/{id}", f"role-office-{office_id}"
    before = form_of(ann, path)
    assert [name for name in before if name.startswith("role-") and "add" not in name] == ["role-all", "role-desk-1"]

    refused = ann.post(f"{ADMIN}{path}", {**before, "role-add-1": place})
    assert refused.status == 422 and "Choose both where and which role" in refused.text
    assert ann.post(f"{ADMIN}{path}", {**before, "role-add-1": place, "role-add-1-role": "lead"}).status == 303

    after = form_of(ann, path)
    assert (after["role-desk-1"], after[place]) == ("manager", "lead")


def form_of(visitor: Visitor, path: str) -> dict[str, Any]:
    """What the main form of the page would send."""
    return next(form.values for form in visitor.get(f"{ADMIN}{path}").forms if {"address", "email"} & set(form.values))
