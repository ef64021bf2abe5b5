"""Which appointments a feed shows, how much of each, and what it says of those that went elsewhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from booking.appointments.booking import move
from booking.appointments.departures import forget_departures
from booking.appointments.models import Appointment, Departure
from booking.calendars.body import not_modified
from booking.calendars.feed import initials
from booking.calendars.models import Detail
from booking.db import db
from booking.staff.audit import citizen_of
from booking.staff.models import Role, Staff
from booking.townhall.models import Counter, CounterService, Municipality, Office
from booking.townhall.revisions import raise_office
from tests.conftest import Clock
from tests.factories import Town, make_counter, make_desk, make_hours, make_office, make_service, make_staff, make_town
from tests.test_feed import TEN, add, booked, cancelled, events, fetch, fresh, http_date, make_feed, statements

pytestmark = pytest.mark.calendars


def uids(content: bytes) -> set[str]:
    return {str(one["uid"]) for one in events(content)}


def uid(appointment_id: int) -> str:
    return db.session.get_one(Appointment, appointment_id).uid


def second_office(town: Town) -> tuple[int, int]:
    """Another office whose counter does passports; the ids of the office and its desk."""
    municipality = db.session.get_one(Municipality, town.municipality_id)
    office = make_office(municipality, position=2)
    office.names = {"nl": "Wijkhuis"}
    counter = make_counter(make_desk(office), number=7)
    make_hours(counter, 1, 9 * 60, 12 * 60)
    make_hours(counter, 2, 9 * 60, 12 * 60)
    make_service(municipality, "visa", [counter])
    db.session.add(CounterService(counter_id=counter.id, service_id=town.passport_id))
    db.session.commit()
    return office.id, counter.desk_id


def add_at(town: Town, counter_id: int, **more: object) -> int:
    id = add(town, **more)  # type: ignore[arg-type]
    appointment = db.session.get_one(Appointment, id)
    appointment.counter_id = counter_id
    db.session.flush()
    db.session.query(Departure).delete()
    db.session.commit()
    return id


def test_a_counter_a_desk_an_office_and_a_service_have_what_is_theirs(context: Flask, town: Town, clock: Clock) -> None:
    office_id, desk_id = second_office(town)
    elsewhere = db.session.scalars(select(Counter.id).where(Counter.desk_id == desk_id)).one()
    first, second, wedding = add(town), add_at(town, town.counter_ids[1]), add(town, service_id=town.wedding_id)
    third = add_at(town, elsewhere)
    wanted = {
        "counter_id": (town.counter_ids[1], {second}),
        "desk_id": (town.desk_id, {first, second, wedding}),
        "office_id": (office_id, {third}),
        "service_id": (town.passport_id, {first, second, third}),
    }
    for name, (id, appointments) in wanted.items():
        body = fetch(town, make_feed(town, **{name: id}), clock())
        assert uids(body.content) == {uid(one) for one in appointments}, name


def test_each_calendar_is_called_by_what_it_shows(context: Flask, town: Town, clock: Clock) -> None:
    alice = make_staff(town.municipality_id, "alice@testdorp.example.org")
    names = {
        "counter_id": (town.counter_ids[1], "Burgerzaken\\, Loket 2 · Stadhuis"),
        "desk_id": (town.desk_id, "Burgerzaken · Stadhuis"),
        "office_id": (town.office_id, "Stadhuis · Testdorp"),
        "service_id": (town.passport_id, "Passport (nl) · Testdorp"),
        "staff_id": (alice.id, "Mijn diensten · Testdorp"),
    }
    for subject, (id, name) in names.items():
        text = fetch(town, make_feed(town, **{subject: id}), clock()).content.decode()
        assert f"\r\nX-WR-CALNAME:{name}\r\n" in text


def test_a_clerks_own_feed_follows_the_desks_they_work_at(context: Flask, town: Town, clock: Clock) -> None:
    _office_id, desk_id = second_office(town)
    elsewhere = db.session.scalars(select(Counter.id).where(Counter.desk_id == desk_id)).one()
    here, there = add(town), add_at(town, elsewhere)
    alice_id = make_staff(town.municipality_id, "alice@testdorp.example.org", Role.CLERK, town.desk_id).id
    token = make_feed(town, staff_id=alice_id)
    before = fetch(town, token, clock())
    assert uids(before.content) == {uid(here)}

    db.session.get_one(Staff, alice_id).roles[0].desk_id = desk_id
    db.session.commit()
    clock.advance(minutes=5)
    after = fetch(town, token, clock())

    assert uids(after.content) == {uid(there)}
    assert not not_modified(after, None, http_date(before.last_modified))
    alice = db.session.get_one(Staff, alice_id)
    alice.roles.clear()
    db.session.commit()
    assert uids(fetch(town, token, clock()).content) == set()


def test_busy_says_no_service_and_no_reference_and_initials_say_both(context: Flask, town: Town, clock: Clock) -> None:
    reference = db.session.get_one(Appointment, add(town)).booking.reference or ""
    spoken = f"Passport (nl) · {reference[:2]} {reference[2:4]} {reference[4:]}"
    wanted = {Detail.BUSY: "Bezet", Detail.SERVICE: spoken, Detail.INITIALS: f"A. P. · {spoken}"}

    for detail, summary in wanted.items():
        token = make_feed(town, detail=detail)
        with statements() as seen:
            (shown,) = events(fetch(town, token, clock()).content)
        assert str(shown["summary"]) == summary
        text = shown.to_ical().decode()
        assert "Alice" not in text and "alice@" not in text and "32470" not in text
        assert not any("booking.email" in one or "booking.phone" in one for one in seen)
        assert any("booking.name" in one for one in seen) == (detail == Detail.INITIALS)


@pytest.mark.parametrize(
    ("name", "short"),
    [("Alice Peeters", "A. P."), ("'t Hooft", "T. H."), ("Zoë van der Berg", "Z. B."), ("éloïse", "É."), ("??", "")],
)
def test_initials_are_those_of_the_first_and_the_last_word(name: str, short: str) -> None:
    assert initials(name) == short


@given(st.text())
def test_initials_never_hold_a_name(name: str) -> None:
    assert all(len(part) <= 4 for part in initials(name).split(" "))


def test_what_moved_to_another_desk_is_cancelled_at_the_old_one_and_new_at_the_other(
    context: Flask, town: Town, clock: Clock
) -> None:
    office_id, desk_id = second_office(town)
    appointment = booked(town, clock)
    old, new = make_feed(town), make_feed(town, desk_id=desk_id)
    both = make_feed(town, service_id=town.passport_id)
    before = fetch(town, old, clock())
    clock.advance(minutes=5)
    moved(town, appointment, office_id, TEN + timedelta(days=1), clock)

    (gone,), (come,) = events(fetch(town, old, clock()).content), events(fetch(town, new, clock()).content)

    assert (gone["status"], gone["sequence"], gone["transp"]) == ("CANCELLED", 1, "TRANSPARENT")
    assert gone["dtstart"].dt == TEN
    assert (come["status"], come["sequence"]) == ("CONFIRMED", 1)
    assert come["dtstart"].dt == TEN + timedelta(days=1)
    assert str(gone["uid"]) == str(come["uid"])
    (one,) = events(fetch(town, both, clock()).content)
    assert (one["status"], one["sequence"]) == ("CONFIRMED", 1)
    after = fetch(town, old, clock() + timedelta(minutes=2))
    assert not not_modified(after, before.etag, None)
    assert not not_modified(after, None, http_date(before.last_modified))


def moved(town: Town, appointment_id: int, office_id: int, start: object, clock: Clock) -> None:
    fresh()
    appointment, office = db.session.get_one(Appointment, appointment_id), db.session.get_one(Office, office_id)
    move(appointment, office, start, citizen_of(town.municipality_id), clock())  # type: ignore[arg-type]
    db.session.commit()


def test_what_came_back_is_one_event_again_also_when_it_is_cancelled_then(
    context: Flask, town: Town, clock: Clock
) -> None:
    office_id, desk_id = second_office(town)
    appointment = booked(town, clock)
    old, new = make_feed(town), make_feed(town, desk_id=desk_id)
    steps = [(office_id, 1), (town.office_id, 2), (office_id, 7)]
    shown = []
    for where, days in steps:
        clock.advance(minutes=1)
        moved(town, appointment, where, TEN + timedelta(days=days), clock)
        shown.append([events(fetch(town, token, clock()).content) for token in (old, new)])
    clock.advance(minutes=1)
    cancelled(town, appointment, clock)
    shown.append([events(fetch(town, token, clock()).content) for token in (old, new)])

    assert [[len(one) for one in both] for both in shown] == [[1, 1]] * 4
    assert [[(one["status"], one["sequence"]) for (one,) in both] for both in shown] == [
        [("CANCELLED", 1), ("CONFIRMED", 1)],
        [("CONFIRMED", 2), ("CANCELLED", 2)],
        [("CANCELLED", 3), ("CONFIRMED", 3)],
        [("CANCELLED", 3), ("CANCELLED", 4)],
    ]


def test_the_cancelled_copy_goes_when_its_day_is_over_and_its_line_soon_after(
    context: Flask, town: Town, clock: Clock
) -> None:
    appointment, token = booked(town, clock), make_feed(town, counter_id=town.counter_ids[0])
    one = db.session.get_one(Appointment, appointment)
    token = make_feed(town, counter_id=one.counter_id)
    one.counter_id = next(id for id in town.counter_ids if id != one.counter_id)
    one.sequence, one.changed_at = 1, clock()
    raise_office([town.office_id], clock())
    db.session.commit()
    assert [one["status"] for one in events(fetch(town, token, clock()).content)] == ["CANCELLED"]

    later = clock() + timedelta(hours=48)
    assert len(events(fetch(town, token, later - timedelta(minutes=1)).content)) == 1
    assert events(fetch(town, token, later).content) == []
    for days, left in ((4, 1), (6, 0)):
        forget_departures(clock() + timedelta(days=days))
        assert len(db.session.scalars(select(Departure)).all()) == left


def test_an_appointment_that_stays_at_its_counter_leaves_no_line(context: Flask, clock: Clock) -> None:
    town = make_town("eendorp", counters=1)
    db.session.commit()
    appointment = booked(town, clock)
    moved(town, appointment, town.office_id, TEN + timedelta(hours=1), clock)

    assert db.session.get_one(Appointment, appointment).sequence == 1
    assert db.session.scalars(select(Departure)).all() == []
