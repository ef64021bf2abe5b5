"""Booking for somebody on the phone or at the counter."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.models import Appointment, Booking, Hold
from booking.db import db
from booking.links import code
from booking.staff.models import AuditLine, Role
from booking.townhall.models import Desk, Office
from tests.conftest import KEYS, MONDAY, Clock
from tests.factories import Town, make_desk, make_staff
from tests.pages import Page, Visitor
from tests.test_staff_pages import TODAY, people, signed_in

__all__ = ["people"]
pytestmark = pytest.mark.counter

SOON = MONDAY + timedelta(minutes=5)


def named(visitor: Visitor, words: str = "pasport") -> Page:
    """The page after the service was named, with a slip of the finger."""
    return visitor.get(f"/testdorp/staff/book?q={words}")


def first_free(visitor: Visitor) -> Page:
    return visitor.follow(visitor.press(named(visitor).form("/staff/hold")))


def by_keyboard(visitor: Visitor, **typed: str) -> Page:
    """Search, Enter on the first free time, a name, Enter."""
    page = first_free(visitor)
    form = next(form for form in page.forms if "name" in form.values)
    form.action = page.response.request.path
    return visitor.send(form, **{"name": "Grietje Maes", **typed})


@pytest.mark.usefixtures("people")
def test_the_first_free_time_is_one_key_away_from_the_service(app: Flask, town: Town) -> None:
    page = named(signed_in(app, "alice"))

    assert "Passport (en)" in page.text and "identity card" in page.text
    form = page.form("/staff/hold")
    office, tick = form.buttons[0][1].split(".")
    assert (int(office), int(tick) * 300) == (town.office_id, SOON.timestamp())  # staff need no notice


@pytest.mark.usefixtures("people")
def test_booked_on_the_phone_and_read_back(app: Flask, town: Town) -> None:
    visitor = signed_in(app, "alice")

    page = visitor.follow(by_keyboard(visitor))

    with app.app_context():
        booking = db.session.scalars(select(Booking)).one()
        assert (booking.name, booking.channel, booking.language) == ("Grietje Maes", "phone", "nl")
        assert (booking.email, booking.phone) == (None, None)
        assert code(KEYS[0], booking.id, 1) in page.text and (booking.reference or "")[:2] in page.text
        line = db.session.scalars(select(AuditLine).where(AuditLine.action == "book")).one()
        assert line.staff_id is not None and line.details == {"channel": "phone"}
    assert "maandag 23 november" in page.text  # the slip is in the citizen's language
    assert "Print this page" in page.text
    with app.app_context():  # who reads a code is written down
        assert db.session.scalars(select(AuditLine.object_id).where(AuditLine.action == "read_code")).all() == [1]


@pytest.mark.usefixtures("people")
def test_the_channel_is_remembered_for_the_next_one(app: Flask, town: Town) -> None:
    visitor = signed_in(app, "alice")
    by_keyboard(visitor, channel="counter")

    page = first_free(visitor)

    assert next(form for form in page.forms if "name" in form.values).values["channel"] == "counter"
    with app.app_context():
        assert db.session.scalars(select(Booking.channel)).all() == ["counter"]


@pytest.mark.usefixtures("people")
def test_a_form_sent_twice_books_once(app: Flask, town: Town) -> None:
    visitor = signed_in(app, "alice")
    page = first_free(visitor)
    form = next(form for form in page.forms if "name" in form.values)
    form.action = page.response.request.path

    answers = [visitor.send(form, name="Grietje Maes") for _ in range(2)]

    assert [answer.location for answer in answers] == [answers[0].location] * 2
    with app.app_context():
        assert len(db.session.scalars(select(Booking)).all()) == 1


@pytest.mark.usefixtures("people")
def test_two_clerks_who_choose_the_same_time(app: Flask, town: Town) -> None:
    """Both counters can be chosen, the third one is told and shown the next times."""
    clerks = [signed_in(app, who) for who in ("alice", "bob", "ann")]
    forms = [named(clerk).form("/staff/hold") for clerk in clerks]

    answers = [clerk.press(form) for clerk, form in zip(clerks, forms, strict=True)]

    assert [answer.status for answer in answers] == [303, 303, 409]
    assert "is taken now" in answers[2].text and answers[2].form("/staff/hold").buttons


@pytest.mark.usefixtures("people")
def test_choosing_another_time_gives_the_first_one_back(app: Flask, town: Town, clock: Clock) -> None:
    visitor = signed_in(app, "alice")
    first_free(visitor)
    first_free(visitor)

    with app.app_context():
        lives = select(Hold).where(Hold.expires_at > clock(), Hold.booking_id.is_(None))
        assert len(db.session.scalars(lives).all()) == 1


@pytest.mark.usefixtures("people")
def test_colleagues_see_that_a_time_is_being_booked(app: Flask, town: Town) -> None:
    colleague = signed_in(app, "bob")
    before = colleague.get(f"{TODAY}{town.desk_id}")
    assert "being booked" not in before.text

    first_free(signed_in(app, "alice"))

    etag = before.response.headers["ETag"]
    assert "being booked" in colleague.get(f"{TODAY}{town.desk_id}", **{"If-None-Match": etag}).text


@pytest.mark.usefixtures("people")
def test_a_lead_may_take_what_is_kept_back_for_walk_ins_and_it_is_marked(app: Flask, town: Town) -> None:
    with app.app_context():
        db.session.get_one(Desk, town.desk_id).walk_in_percents = {"9": 100}
        db.session.commit()
    at_ten = str(int((MONDAY + timedelta(hours=1)).timestamp()) // 300)
    assert named(signed_in(app, "alice")).form("/staff/hold").buttons[0][1].endswith(at_ten)
    lead = signed_in(app, "bob")
    assert "kept back for walk-ins" in named(lead).text

    page = lead.follow(by_keyboard(lead))

    assert "kept back for walk-ins" in page.text
    with app.app_context():
        one = db.session.scalars(select(Appointment)).one()
        assert (one.starts_at, one.is_beyond_quota) == (SOON, True)


@pytest.mark.usefixtures("people")
def test_nobody_books_at_another_desk(app: Flask, town: Town) -> None:
    with app.app_context():
        other = make_desk(db.session.get_one(Office, town.office_id), key="building")
        make_staff(town.municipality_id, "dora@testdorp.example.org", Role.MANAGER, other.id).language = "en"
        db.session.commit()
    form = named(signed_in(app, "alice")).form("/staff/hold")
    dora = signed_in(app, "dora")
    page = named(dora)
    assert "Your desks do nothing like it" in page.text

    token = dora.get("/testdorp/staff/feeds").forms[0].values["csrf_token"]
    stolen = {**form.values, "slot": form.buttons[0][1], "csrf_token": token}
    assert dora.post("/testdorp/staff/hold", stolen).status == 404


@pytest.mark.usefixtures("people")
def test_the_form_of_a_colleague_is_not_found(app: Flask, town: Town) -> None:
    page = first_free(signed_in(app, "alice"))

    assert signed_in(app, "bob").get(page.response.request.path).status == 404


@pytest.mark.usefixtures("people")
def test_who_needs_more_time_gets_it_on_the_phone_too(app: Flask, town: Town) -> None:
    visitor = signed_in(app, "alice")

    by_keyboard(visitor, needs="extra_time")

    with app.app_context():
        one = db.session.scalars(select(Appointment)).one()
        assert one.booking.needs == "extra_time" and one.ends_at - one.starts_at == timedelta(minutes=25)
    assert "Needs" in visitor.get(f"{TODAY}{town.desk_id}?open={one.id}").text
