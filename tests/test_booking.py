"""Booking, moving and cancelling, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm.attributes import set_committed_value

from booking import create_app
from booking.appointments.booking import Citizen, TooLate, book, cancel, demand_of, move
from booking.appointments.holds import extend, hold
from booking.appointments.models import Appointment, AppointmentState, Booking, Channel, Hold, Occupancy
from booking.appointments.occupancy import SlotTaken, free_hold
from booking.appointments.offers import Demand, offer
from booking.appointments.timelines import office_lines
from booking.appointments.writing import HoldChanged
from booking.config import Settings
from booking.db import begin_write, db
from booking.outbox.models import Message, MessageState
from booking.staff.audit import citizen_of
from booking.staff.models import AuditLine
from booking.townhall.models import Closure, Municipality, Office, Service
from tests.conftest import Clock
from tests.factories import Town
from tests.pages import Form, Visitor

pytestmark = pytest.mark.citizen

TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
ALICE = Citizen("Alice Peeters", "nl", email="alice@example.org")


def held(town: Town, clock: Clock, start: datetime = TEN, people: int = 1) -> Hold:
    fresh()
    office = db.session.get_one(Office, town.office_id)
    service = db.session.get_one(Service, town.passport_id)
    return hold(office, Demand(service, people), start, clock())


def booked(town: Town, clock: Clock, start: datetime = TEN, people: int = 1) -> Booking:
    made = book(held(town, clock, start, people), ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())
    db.session.commit()
    return made


def fresh() -> None:
    """A new writing transaction, as every POST begins."""
    db.session.rollback()
    begin_write()


def ticks() -> int:
    return db.session.scalar(select(func.count()).select_from(Occupancy)) or 0


def test_a_booking_takes_the_ticks_of_its_length(context: Flask, town: Town, clock: Clock) -> None:
    made = booked(town, clock, people=2)

    appointment = made.appointments[0]
    assert (appointment.ends_at - appointment.starts_at).seconds == 25 * 60
    assert ticks() == 5
    assert made.reference and len(made.reference) == 7
    assert made.first_free_at == datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def test_the_moments_of_a_booking_are_found_by_their_value(context: Flask, town: Town, clock: Clock) -> None:
    """On SQLite a moment is a text: one that is written in another form is neither equal nor in its place."""
    made = booked(town, clock)
    one, now = made.appointments[0], clock()

    mine = select(Appointment.id).join(Appointment.booking).where(Booking.made_at == now, Appointment.id == one.id)
    same = (Appointment.starts_at == TEN, Appointment.ends_at == TEN + timedelta(minutes=15))
    assert db.session.scalars(mine.where(*same, Appointment.changed_at == now)).one() == one.id
    told = select(func.count()).select_from(Message).where(Message.subject_id == one.id, Message.made_at == now)
    assert db.session.scalar(told.where(Message.expires_at.in_((one.starts_at, one.ends_at)))) == 2
    assert db.session.scalars(select(AuditLine.object_id).where(AuditLine.at == now)).all() == [one.id]


def test_what_is_booked_is_no_longer_offered(context: Flask, town: Town, clock: Clock) -> None:
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    assert offer(office_lines(office, clock()), Demand(service), clock()).has(TEN)

    booked(town, clock)
    assert offer(office_lines(office, clock()), Demand(service), clock()).has(TEN)  # the second counter
    booked(town, clock)

    assert not offer(office_lines(office, clock()), Demand(service), clock()).has(TEN)
    with pytest.raises(SlotTaken):
        held(town, clock)


def test_a_hold_that_ended_is_taken_again_if_the_slot_is_free(context: Flask, town: Town, clock: Clock) -> None:
    kept = held(town, clock)
    db.session.commit()
    clock.advance(hours=1)

    fresh()
    made = book(kept, ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())
    db.session.commit()

    assert made.appointments[0].starts_at == TEN
    assert ticks() == 3


def test_a_hold_that_ended_does_not_take_what_others_booked(context: Flask, town: Town, clock: Clock) -> None:
    kept = held(town, clock)
    db.session.commit()
    clock.advance(hours=1)
    booked(town, clock)
    booked(town, clock)

    fresh()
    with pytest.raises(SlotTaken):
        book(kept, ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())


def test_a_hold_that_is_given_back_after_it_was_read_is_not_booked_as_if_it_lived(
    context: Flask, town: Town, clock: Clock
) -> None:
    kept = held(town, clock)
    db.session.commit()
    as_read = kept.expires_at
    fresh()
    free_hold(kept.id, kept.counter_id, clock())
    kept.expires_at = clock()
    db.session.commit()

    fresh()
    set_committed_value(kept, "expires_at", as_read)
    with pytest.raises(HoldChanged):
        book(kept, ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())

    fresh()
    assert (db.session.scalar(select(func.count(Booking.id))), ticks()) == (0, 0)
    book(kept, ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())
    assert ticks() == 3


def with_form(app: Flask, number: int) -> tuple[Visitor, Form]:
    """A browser of its own that has chosen a time, and its form."""
    visitor = Visitor(app)
    page = visitor.follow(visitor.press(visitor.get("/testdorp/nl/service/passport").form("/hold"), number))
    return visitor, next(form for form in page.forms if "name" in form.values)


def confirmed(visitor: Visitor, form: Form, who: str) -> int:
    return visitor.send(form, name="Ann", reach="email", email=f"{who}@example.org", phone="").status


def test_a_reference_that_somebody_has_is_drawn_again(
    app: Flask, town: Town, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["K74P9XA", "K74P9XA", "K74P9XB"])
    monkeypatch.setattr("booking.appointments.booking.new_reference", lambda: next(drawn))

    assert [confirmed(*with_form(app, number), f"ann{number}") for number in range(2)] == [303, 303]

    with app.app_context():
        assert sorted(db.session.scalars(select(Booking.reference))) == ["K74P9XA", "K74P9XB"]


def test_what_another_process_changed_of_the_town_counts_for_a_form_that_is_open_here(
    app: Flask, town: Town, settings: Settings, clock: Clock
) -> None:
    assert confirmed(*with_form(app, 0), "ann") == 303
    open_form = with_form(app, 1)
    other = create_app(settings, clock=clock)
    with other.app_context():
        begin_write()
        db.session.get_one(Municipality, town.municipality_id).made_per_contact = 1
        db.session.commit()
        db.session.remove()
        db.engine.dispose()

    assert confirmed(*open_form, "ann") == 429


def test_the_same_hold_books_once(context: Flask, town: Town, clock: Clock) -> None:
    kept = held(town, clock)
    actor = citizen_of(town.municipality_id)

    first, second = (book(kept, ALICE, Channel.WEB, actor, clock()) for _ in range(2))

    assert first.id == second.id
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1


def test_a_closure_made_while_the_form_was_filled_in_refuses_the_booking(
    context: Flask, town: Town, clock: Clock
) -> None:
    kept = held(town, clock)
    db.session.add(
        Closure(office_id=town.office_id, starts_at=TEN, ends_at=TEN.replace(hour=12), reasons={"nl": "Verkiezingen"})
    )
    db.session.commit()

    fresh()
    with pytest.raises(SlotTaken):
        book(kept, ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())


def test_a_move_keeps_the_appointment_and_frees_the_old_time(context: Flask, town: Town, clock: Clock) -> None:
    appointment = booked(town, clock).appointments[0]
    before = (appointment.id, appointment.uid)
    fresh()
    office = db.session.get_one(Office, town.office_id)
    move(appointment, office, TEN.replace(minute=5), citizen_of(town.municipality_id), clock())
    db.session.commit()

    assert (appointment.id, appointment.uid) == before
    assert appointment.sequence == 1
    assert appointment.starts_at == TEN.replace(minute=5)
    assert ticks() == 3
    rows = db.session.execute(select(Message.kind, Message.sequence, Message.state)).all()
    assert {(kind.value, sequence, state.value) for kind, sequence, state in rows} == {
        ("confirmation", 0, "dropped"),
        ("reminder", 0, "dropped"),
        ("move", 1, "queued"),
        ("reminder", 1, "queued"),
    }


def test_a_cancelled_appointment_frees_its_time_once(context: Flask, town: Town, clock: Clock) -> None:
    appointment = booked(town, clock).appointments[0]
    actor = citizen_of(town.municipality_id)

    for _ in range(2):
        fresh()
        cancel(appointment, actor, clock())
        db.session.commit()

    assert appointment.state == AppointmentState.CANCELLED
    assert appointment.sequence == 1
    assert ticks() == 0
    queued = db.session.scalars(select(Message.kind).where(Message.state == MessageState.QUEUED)).all()
    assert [kind.value for kind in queued] == ["cancellation"]


def test_what_has_begun_can_no_longer_be_changed(context: Flask, town: Town, clock: Clock) -> None:
    appointment = booked(town, clock).appointments[0]
    clock.now = TEN
    actor, office = citizen_of(town.municipality_id), db.session.get_one(Office, town.office_id)

    with pytest.raises(TooLate):
        cancel(appointment, actor, clock())
    db.session.rollback()
    with pytest.raises(TooLate):
        move(appointment, office, TEN.replace(day=25), actor, clock())


def test_the_length_stays_when_an_appointment_of_three_is_moved(context: Flask, town: Town, clock: Clock) -> None:
    appointment = booked(town, clock, people=3).appointments[0]
    assert demand_of(appointment).people == 3

    fresh()
    office = db.session.get_one(Office, town.office_id)
    move(appointment, office, TEN.replace(day=25), citizen_of(town.municipality_id), clock())
    db.session.commit()

    assert (appointment.ends_at - appointment.starts_at).seconds == 35 * 60
    assert ticks() == 7


def test_fewer_days_ahead_do_not_take_a_living_hold_away(context: Flask, town: Town, clock: Clock) -> None:
    far = TEN + timedelta(days=50)
    kept = held(town, clock, far)
    db.session.commit()
    for service in db.session.scalars(select(Service)):
        service.max_days_ahead = 5
    db.session.commit()

    fresh()
    extend(kept, clock())
    made = book(kept, ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())
    db.session.commit()

    assert made.appointments[0].starts_at == far
    assert ticks() == 3
