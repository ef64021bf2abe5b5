"""The staff's pages: signing in, the agenda, the steps of a visit, and the outbox."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from booking.appointments.booking import Citizen, book
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, Channel, Visit
from booking.appointments.offers import Demand
from booking.db import begin_write, db
from booking.links import own_path, token
from booking.staff.audit import citizen_of
from booking.staff.models import AuditLine, Role, Staff
from booking.townhall.models import Desk, Office, Service
from tests.conftest import KEYS, Clock
from tests.factories import PASSWORD, Town, make_desk, make_staff
from tests.pages import Form, Page, Visitor

pytestmark = pytest.mark.counter

TEN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TODAY = "/testdorp/staff/agenda/"


@pytest.fixture
def people(app: Flask, town: Town) -> None:
    """Alice is clerk at the desk, Bob leads it, Ann administers the town."""
    with app.app_context():
        make_staff(town.municipality_id, "alice@testdorp.example.org", Role.CLERK, town.desk_id)
        make_staff(town.municipality_id, "bob@testdorp.example.org", Role.LEAD, town.desk_id)
        make_staff(town.municipality_id, "ann@testdorp.example.org", Role.ADMINISTRATOR)
        for staff in db.session.scalars(select(Staff)):
            staff.language = "en"
        db.session.commit()


def signed_in(app: Flask, who: str) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in("testdorp", f"{who}@testdorp.example.org", PASSWORD).status == 303
    return visitor


def of_panel(page: Page) -> Form:
    """The buttons of the visit that is open beside the agenda."""
    return next(form for form in page.forms if "open" in form.values)


def appointment(app: Flask, town: Town, name: str = "Zoë Janssens", start: datetime = TEN) -> int:
    with app.app_context():
        begin_write()
        now = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
        office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
        kept = hold(office, Demand(service, 2), start, now)
        made = book(kept, Citizen(name, "nl", "z@example.org"), Channel.WEB, citizen_of(town.municipality_id), now)
        db.session.commit()
        return made.appointments[0].id


def test_signing_in_leads_to_the_agenda_of_ones_desk(app: Flask, town: Town, people: None) -> None:
    visitor = Visitor(app)
    start = visitor.get("/testdorp/staff/")
    assert "/staff/sign-in" in start.location

    page = visitor.sign_in("testdorp", "ALICE@testdorp.example.org", PASSWORD)

    assert "Civil registry, Town hall" in visitor.follow(visitor.follow(page)).text


def test_a_wrong_password_says_nothing_about_the_account(app: Flask, town: Town, people: None) -> None:
    known = Visitor(app).sign_in("testdorp", "alice@testdorp.example.org", "wrong")
    unknown = Visitor(app).sign_in("testdorp", "nobody@testdorp.example.org", "wrong")

    assert known.status == unknown.status == 422
    assert "is not right" in known.text and "is not right" in unknown.text


def test_guessing_a_password_is_slowed_down(app: Flask, town: Town, people: None, clock: Clock) -> None:
    visitor = Visitor(app)
    for _ in range(5):
        visitor.sign_in("testdorp", "alice@testdorp.example.org", "wrong")

    assert visitor.sign_in("testdorp", "alice@testdorp.example.org", PASSWORD).status == 429
    clock.advance(minutes=16)
    assert visitor.sign_in("testdorp", "alice@testdorp.example.org", PASSWORD).status == 303


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/staff/", "/other/staff/", "/staff\\@evil"])
def test_signing_in_never_leads_elsewhere(app: Flask, town: Town, people: None, wanted: str) -> None:
    visitor = Visitor(app)
    form = next(one for one in visitor.get("/testdorp/staff/sign-in").forms if "email" in one.values)

    page = visitor.post(
        f"/testdorp/staff/sign-in?next={wanted}",
        {**form.values, "email": "alice@testdorp.example.org", "password": PASSWORD},
    )

    assert page.location == "/testdorp/staff/"


def test_the_agenda_shows_the_day(app: Flask, town: Town, people: None) -> None:
    appointment(app, town)

    page = signed_in(app, "alice").get(f"{TODAY}{town.desk_id}/2026-11-23")

    assert "Counter 1" in page.text and "Counter 2" in page.text
    assert "10:00 Zoë Janssens" in page.text
    assert "Passport (en) (2)" in page.text


def test_a_day_without_hours_says_so(app: Flask, town: Town, people: None) -> None:
    page = signed_in(app, "alice").get(f"{TODAY}{town.desk_id}/2026-11-22")

    assert "The desk is closed on this day" in page.text


def test_the_agenda_asks_a_fixed_number_of_questions(app: Flask, town: Town, people: None) -> None:
    visitor = signed_in(app, "alice")

    def statements() -> int:
        counted: list[str] = []
        with app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", lambda *given: counted.append(given[2]))
        assert visitor.get(f"{TODAY}{town.desk_id}/2026-11-24").status == 200
        return len(counted)

    appointment(app, town, start=datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    few = statements()
    for hour in (10, 12, 13, 14):
        appointment(app, town, start=datetime(2026, 11, 24, hour, 0, tzinfo=UTC))
    assert statements() == few <= 25


def test_the_steps_of_a_visit(app: Flask, town: Town, people: None, clock: Clock) -> None:
    id = appointment(app, town)
    visitor = signed_in(app, "alice")

    for step, state in (("arrive", "arrived"), ("serve", "served"), ("undo", "arrived"), ("undo", "expected")):
        form = of_panel(visitor.get(f"{TODAY}{town.desk_id}/2026-11-23?open={id}"))
        page = visitor.follow(visitor.post(f"/testdorp/staff/appointment/{id}/{step}", form.values))
        assert state in page.text.split("Zoë Janssens", 1)[1]

    with app.app_context():
        actions = db.session.scalars(select(AuditLine.action).where(AuditLine.actor == "staff")).all()
        assert set(actions) == {"sign_in", "read_contact", "arrive", "serve", "undo"}


def test_two_clerks_cannot_both_mark_the_same_visit(app: Flask, town: Town, people: None) -> None:
    id = appointment(app, town)
    first, second = signed_in(app, "alice"), signed_in(app, "bob")
    forms = [of_panel(one.get(f"{TODAY}{town.desk_id}?open={id}")) for one in (first, second)]

    answers = [
        one.post(f"/testdorp/staff/appointment/{id}/arrive", form.values)
        for one, form in zip((first, second), forms, strict=True)
    ]

    assert [answer.status for answer in answers] == [303, 409]
    assert "has arrived already" in answers[1].text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Visit)) == 1


def test_nobody_is_missed_before_the_time(app: Flask, town: Town, people: None, clock: Clock) -> None:
    id = appointment(app, town)
    visitor = signed_in(app, "alice")
    form = of_panel(visitor.get(f"{TODAY}{town.desk_id}?open={id}"))

    assert visitor.post(f"/testdorp/staff/appointment/{id}/miss", form.values).status == 409
    clock.now = datetime(2026, 11, 23, 9, 15, tzinfo=UTC)
    assert visitor.post(f"/testdorp/staff/appointment/{id}/miss", form.values).status == 303


def test_the_citizen_sees_that_they_are_registered(app: Flask, town: Town, people: None) -> None:
    id = appointment(app, town)
    visitor = signed_in(app, "alice")
    form = of_panel(visitor.get(f"{TODAY}{town.desk_id}?open={id}"))
    visitor.post(f"/testdorp/staff/appointment/{id}/arrive", form.values)

    with app.app_context():
        booking_id = db.session.get_one(Appointment, id).booking_id
    address = f"/testdorp{own_path('en', token(KEYS, 'booking', booking_id, 1))}"
    assert "You are registered" in Visitor(app).get(address).text


def test_an_account_that_was_ended_is_out_at_once(app: Flask, town: Town, people: None) -> None:
    visitor = signed_in(app, "alice")
    with app.app_context():
        staff = db.session.scalars(select(Staff).where(Staff.email.startswith("alice"))).one()
        staff.generation += 1
        db.session.commit()

    assert "/staff/sign-in" in visitor.get(f"{TODAY}{town.desk_id}").location


def test_an_open_agenda_asks_again_for_little(app: Flask, town: Town, people: None) -> None:
    id = appointment(app, town)
    visitor = signed_in(app, "alice")
    address = f"{TODAY}{town.desk_id}"
    etag = visitor.get(address).response.headers["ETag"]
    assert visitor.get(address, **{"If-None-Match": etag}).status == 304

    colleague = signed_in(app, "bob")
    form = of_panel(colleague.get(f"{address}?open={id}"))
    colleague.post(f"/testdorp/staff/appointment/{id}/arrive", form.values)

    page = visitor.get(address, **{"If-None-Match": etag})
    assert page.status == 200 and page.response.headers["ETag"] != etag
    assert "appointment at 10:00" in page.text


def test_the_pulse_says_that_something_changed_and_nothing_else(app: Flask, town: Town, people: None) -> None:
    id = appointment(app, town)
    visitor, anybody = signed_in(app, "alice"), Visitor(app)
    pulse = f"/testdorp/staff/pulse/{town.office_id}"
    answer = anybody.get(pulse)
    beat = answer.response.headers["ETag"]
    assert (answer.status, answer.response.data) == (204, b"") and "Set-Cookie" not in answer.response.headers
    page = visitor.get(f"{TODAY}{town.desk_id}?open={id}")
    assert beat.strip('"') in page.response.text  # the page knows the pulse as it was when it was made
    assert anybody.get(pulse, **{"If-None-Match": beat}).status == 304

    visitor.post(f"/testdorp/staff/appointment/{id}/arrive", of_panel(page).values)

    assert anybody.get(pulse, **{"If-None-Match": beat}).status == 204
    assert anybody.get("/testdorp/staff/pulse/999").status == 404


def test_a_form_of_this_morning_still_works_in_the_evening(app: Flask, town: Town, people: None, clock: Clock) -> None:
    id = appointment(app, town)
    visitor = signed_in(app, "alice")
    form = of_panel(visitor.get(f"{TODAY}{town.desk_id}?open={id}"))

    clock.advance(hours=9)

    assert visitor.post(f"/testdorp/staff/appointment/{id}/arrive", form.values).status == 303


def test_next_needs_a_counter_and_calls_to_it(app: Flask, town: Town, people: None) -> None:
    visitor = signed_in(app, "alice")
    page = visitor.get(f"{TODAY}{town.desk_id}")
    assert "At which counter do you sit?" in page.text

    page = visitor.follow(visitor.send(page.form("/staff/counter"), counter=str(town.counter_ids[1])))
    ticket = visitor.follow(visitor.send(page.form(f"/staff/ticket/{town.desk_id}")))
    assert "Number 1" in ticket.text and "0 people are before you" in ticket.text

    page = visitor.follow(visitor.send(page.form(f"/staff/next/{town.counter_ids[1]}")))
    assert "Counter 2" in page.text and "called" in page.text
    assert "Nobody waits." in page.text


def test_reading_a_contact_is_written_down_once(app: Flask, town: Town, people: None) -> None:
    id = appointment(app, town)
    visitor = signed_in(app, "alice")
    for _ in range(3):
        assert "z@example.org" in visitor.get(f"{TODAY}{town.desk_id}?open={id}").text

    with app.app_context():
        (line,) = db.session.scalars(select(AuditLine).where(AuditLine.action == "read_contact"))
        assert line.object_kind == "booking" and line.staff_id is not None and line.details == {}


@pytest.mark.parametrize("said", ["Zoe Jansens", "janssens", "jansen zoë", "Janßens", "REF"])
def test_an_appointment_is_found_by_what_people_say(app: Flask, town: Town, people: None, said: str) -> None:
    id = appointment(app, town)
    appointment(app, town, "Piet Claes", datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    if said == "REF":
        with app.app_context():
            said = (db.session.get_one(Appointment, id).booking.reference or "").lower()[:5]

    page = signed_in(app, "alice").get(f"/testdorp/staff/search?q={said}")

    assert "Zoë Janssens" in page.text and "Piet Claes" not in page.text


def test_nobody_finds_appointments_of_another_desk(app: Flask, town: Town, people: None) -> None:
    appointment(app, town)
    with app.app_context():
        other = make_desk(db.session.get_one(Office, town.office_id), key="building")
        make_staff(town.municipality_id, "dora@testdorp.example.org", Role.MANAGER, other.id).language = "en"
        db.session.commit()

    assert "No appointment at your desks fits" in signed_in(app, "dora").get("/testdorp/staff/search?q=Janssens").text


def test_the_week_shows_what_is_booked_and_free(app: Flask, town: Town, people: None) -> None:
    appointment(app, town)

    page = signed_in(app, "alice").get(f"/testdorp/staff/week/{town.desk_id}/2026-11-25")

    assert "Monday 23 November 1 appointment" in page.text and "Sunday 29 November 0 appointments closed" in page.text
    assert "05:35 free" in page.text and "06:00 free" in page.text


def test_a_lead_sets_the_rules_of_the_queue(app: Flask, town: Town, people: None) -> None:
    address = f"/testdorp/staff/queue/{town.desk_id}"
    assert signed_in(app, "alice").get(address).status == 404
    lead = signed_in(app, "bob")
    form = lead.get(address).forms[-1]
    assert lead.post(address, {**form.values, "9": "101"}).status == 422

    page = lead.follow(lead.post(address, {**form.values, "grace": "15", "9": "40"}))

    assert "Saved" in page.text
    with app.app_context():
        desk = db.session.get_one(Desk, town.desk_id)
        assert (desk.grace_minutes, desk.walk_in_percents) == (15, {"9": 40})
    times = Visitor(app).get("/testdorp/api/v1/services/passport/times?days=8").response.get_data(as_text=True)
    assert "2026-11-24T10:00" in times
