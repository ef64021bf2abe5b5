"""Changes of hours and closures: what they hit, what becomes of it, and taking it all back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.booking import Citizen, book, cancel, move
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, AppointmentState, Channel, Occupancy
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, offers
from booking.appointments.recount import recount
from booking.db import begin_write, db
from booking.outbox.held import send_now, waiting
from booking.outbox.models import Kind, Message, MessageState
from booking.outbox.queue import claim
from booking.planning.impact import Decision, Meanwhile, apply, open_proposal, preview
from booking.planning.models import Adjustment, Choice
from booking.planning.undo import Gone, undo
from booking.staff.audit import Actor, citizen_of, member
from booking.staff.models import Role
from booking.townhall.models import Closure, Office, OpeningHours, Service
from booking.townhall.plans import Closing, NewHours, Overtaken, Plan, Reopening, Stretch
from tests.factories import Town, make_staff

pytestmark = pytest.mark.townhall

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)  # Monday, nine o'clock in Brussels
FRIDAY = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)  # nine o'clock
LATER = NOW + timedelta(minutes=3)
CLOSED_FRIDAY = Stretch(FRIDAY - timedelta(hours=9), FRIDAY + timedelta(hours=15), {"nl": "Opleiding"})


@pytest.fixture
def author(context: Flask, town: Town) -> Actor:
    made = member(make_staff(town.municipality_id, "mia@testdorp.example.org", Role.MANAGER))
    db.session.commit()
    return made


def start_writing() -> None:
    """Ends what a test has read, and begins to write."""
    db.session.rollback()
    begin_write()


def booked(town: Town, *starts: datetime, email: str | None = "z@example.org") -> list[int]:
    """Appointments of a quarter of an hour at these starts, made last week."""
    made = []
    for start in starts:
        start_writing()
        then = NOW - timedelta(days=3)
        office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
        kept = hold(office, Demand(service), start, then)
        citizen = Citizen("Zoë", "nl", email)
        made.append(book(kept, citizen, Channel.WEB, citizen_of(town.municipality_id), then).appointments[0].id)
        db.session.commit()
    return made


def looked_at(plan: Plan, author: Actor) -> dict[int, datetime | None]:
    """What the plan would hit, with the times that would be proposed; nothing is left of it."""
    start_writing()
    found = {one.appointment_id: one.start for one in preview(plan, author, NOW)}
    db.session.rollback()
    return found


def done(plan: Plan, author: Actor, choice: Choice, now: datetime = NOW) -> int:
    """Carries the plan out with one choice for all; the id of the adjustment."""
    proposed = looked_at(plan, author)
    start_writing()
    made = apply(plan, {id: Decision(choice, start) for id, start in proposed.items()}, author, now)
    db.session.commit()
    return made.id


def undone(id: int, author: Actor, now: datetime = LATER) -> None:
    start_writing()
    try:
        undo(db.session.get_one(Adjustment, id), author, now)
    except Exception:
        db.session.rollback()
        raise
    db.session.commit()


def state(town: Town) -> tuple[object, ...]:
    """Hours, closures, appointments and ticks, as they stand."""
    rules = db.session.execute(select(*OpeningHours.__table__.columns).order_by(OpeningHours.id)).all()
    appointments = db.session.execute(
        select(
            Appointment.id, Appointment.counter_id, Appointment.starts_at, Appointment.state, Appointment.is_exception
        )
    ).all()
    ticks = db.session.execute(select(Occupancy.counter_id, Occupancy.tick, Occupancy.appointment_id)).all()
    closures = db.session.execute(select(*Closure.__table__.columns)).all()
    return sorted(rules), sorted(appointments), sorted(ticks), sorted(map(str, closures))


def nothing_is_wrong(town: Town) -> None:
    db.session.rollback()
    assert recount(town.municipality_id, LATER).findings == []


def kinds(id: int) -> list[tuple[Kind, MessageState]]:
    rows = db.session.scalars(select(Message).where(Message.subject_id == id).order_by(Message.id))
    return [(one.kind, one.state) for one in rows]


def closing(town: Town, *counters: int) -> Closing:
    if counters:
        return Closing((CLOSED_FRIDAY,), counter_ids=counters)
    return Closing((CLOSED_FRIDAY,), office_ids=(town.office_id,))


def test_a_preview_says_whom_it_hits_and_changes_nothing(author: Actor, town: Town) -> None:
    on_friday, _on_thursday = booked(town, FRIDAY, FRIDAY - timedelta(days=1))
    before = state(town)

    proposed = looked_at(closing(town), author)

    assert proposed == {on_friday: FRIDAY - timedelta(days=1) + timedelta(hours=6, minutes=45)}  # the last of Thursday
    assert state(town) == before
    assert db.session.scalar(select(Adjustment.id)) is None


def test_a_closed_counter_hits_its_own_and_the_other_takes_over(author: Actor, town: Town) -> None:
    ids = booked(town, FRIDAY, FRIDAY)
    first = db.session.get_one(Appointment, ids[0])

    proposed = looked_at(closing(town, first.counter_id), author)

    assert set(proposed) == {ids[0]}
    assert proposed[ids[0]] == FRIDAY + timedelta(minutes=15)  # beside the other appointment


def test_moved_appointments_get_different_times_and_their_messages_wait(author: Actor, town: Town) -> None:
    ids = booked(town, FRIDAY, FRIDAY, FRIDAY + timedelta(hours=1))

    done(closing(town), author, Choice.MOVE)

    rows = [db.session.get_one(Appointment, id) for id in ids]
    assert len({(one.counter_id, one.starts_at) for one in rows}) == 3
    assert all(one.starts_at < FRIDAY and one.sequence == 1 for one in rows)
    (held,) = waiting(author.municipality_id, NOW)
    assert (held.count, held.due_at) == (3, NOW + timedelta(minutes=10))
    assert open_proposal(rows[0]) is not None
    nothing_is_wrong(town)


def test_kept_ones_are_exceptions_and_nobody_is_written_to(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)

    done(closing(town), author, Choice.KEEP)

    one = db.session.get_one(Appointment, id)
    assert (one.is_exception, one.starts_at, one.sequence) == (True, FRIDAY, 0)
    assert not waiting(author.municipality_id, NOW)
    nothing_is_wrong(town)


def test_cancelled_ones_are_told_after_the_wait(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)

    done(closing(town), author, Choice.CANCEL)

    assert db.session.get_one(Appointment, id).state == AppointmentState.CANCELLED
    assert kinds(id)[-1] == (Kind.CANCELLATION, MessageState.QUEUED)
    nothing_is_wrong(town)


@pytest.mark.parametrize("choice", list(Choice))
def test_undo_puts_everything_back(author: Actor, town: Town, choice: Choice) -> None:
    ids = booked(town, FRIDAY, FRIDAY + timedelta(minutes=30))
    before = state(town)

    undone(done(closing(town), author, choice), author)

    assert state(town) == before
    nothing_is_wrong(town)
    waits = [kind for id in ids for kind, now in kinds(id) if now == MessageState.QUEUED]
    # The confirmations never went out before the change dropped them, so they are due again; and the reminders.
    assert sorted(waits) == [Kind.CONFIRMATION, Kind.CONFIRMATION, Kind.REMINDER, Kind.REMINDER]


def test_what_has_been_sent_is_not_taken_back(author: Actor, town: Town) -> None:
    booked(town, FRIDAY)
    id = done(closing(town), author, Choice.MOVE)
    start_writing()
    assert send_now(author.municipality_id, f"adjustment-{id}", LATER) == 1
    message = db.session.scalars(select(Message).where(Message.kind == Kind.MOVE)).one()
    assert claim(message.id, LATER)
    db.session.commit()

    with pytest.raises(Gone):
        undone(id, author)


def test_what_the_citizen_has_changed_since_stays_theirs(author: Actor, town: Town) -> None:
    mine, other = booked(town, FRIDAY, FRIDAY)
    id = done(closing(town), author, Choice.MOVE)
    start_writing()
    chosen = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)
    move(db.session.get_one(Appointment, mine), db.session.get_one(Office, town.office_id), chosen, author, LATER)
    db.session.commit()

    undone(id, author)

    assert db.session.get_one(Appointment, mine).starts_at == chosen
    assert db.session.get_one(Appointment, other).starts_at == FRIDAY
    nothing_is_wrong(town)


def test_a_later_change_stands_in_the_way_of_undo(author: Actor, town: Town) -> None:
    id = done(closing(town), author, Choice.KEEP)
    closure = db.session.scalars(select(Closure.id)).one()
    done(Reopening((closure,)), author, Choice.KEEP)

    with pytest.raises(Overtaken):
        undone(id, author)


def test_who_booked_since_the_preview_is_not_overlooked(author: Actor, town: Town) -> None:
    start_writing()
    with pytest.raises(Meanwhile):
        booked(town, FRIDAY)  # somebody books between the preview and the decision
        start_writing()
        apply(closing(town), {}, author, NOW)
    db.session.rollback()

    assert db.session.scalar(select(Closure.id)) is None


def test_an_exception_is_not_hit_again(author: Actor, town: Town) -> None:
    booked(town, FRIDAY)
    done(closing(town), author, Choice.KEEP)

    assert looked_at(closing(town, *town.counter_ids), author) == {}


def hours_of(counter_id: int) -> Sequence[tuple[object, ...]]:
    columns = (OpeningHours.weekday, OpeningHours.opens, OpeningHours.from_on, OpeningHours.until_on)
    query = select(*columns, OpeningHours.every_weeks).where(OpeningHours.counter_id == counter_id)
    return sorted(map(tuple, db.session.execute(query)), key=str)


def test_new_hours_never_rewrite_the_past(author: Actor, town: Town) -> None:
    counter = town.counter_ids[0]
    week = ((0, 480, 720),)

    done(NewHours((counter,), week, date(2026, 12, 7), date(2026, 12, 20)), author, Choice.KEEP)

    mondays = [row for row in hours_of(counter) if row[0] == 0 and row[1] in (480, 540)]
    assert mondays == [
        (0, 480, date(2026, 12, 7), date(2026, 12, 20), 1),
        (0, 540, date(2020, 1, 1), date(2026, 12, 6), 1),
        (0, 540, date(2026, 12, 21), None, 1),
    ]
    assert not [row for row in hours_of(counter) if row[0] == 1 and row[2] == date(2026, 12, 7)]


def test_a_single_day_is_an_exception_of_the_series(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY + timedelta(hours=5))  # fourteen o'clock
    day = date(2026, 11, 27)
    plan = NewHours(town.counter_ids, ((4, 540, 720),), day, day)

    assert looked_at(plan, author)[id] == FRIDAY + timedelta(hours=2, minutes=45)  # the last of that morning


def test_every_other_week_keeps_its_rhythm_when_it_is_cut(author: Actor, town: Town) -> None:
    counter = town.counter_ids[0]
    done(NewHours((counter,), ((2, 540, 720),), date(2026, 11, 30), None, 2), author, Choice.KEEP)
    open_on = [date(2026, 12, 2), date(2026, 12, 16), date(2026, 12, 30)]
    done(NewHours((counter,), (), date(2026, 12, 16), date(2026, 12, 17)), author, Choice.KEEP)

    wednesdays = [row for row in hours_of(counter) if row[0] == 2 and row[4] == 2]

    assert wednesdays == [
        (2, 540, date(2026, 11, 30), date(2026, 12, 15), 2),
        (2, 540, date(2026, 12, 18), None, 2),  # of the same week, so that the 30th is next
    ]
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    done(NewHours((town.counter_ids[1],), (), date(2026, 11, 30)), author, Choice.KEEP)
    days = [day for day in offers([office], Demand(service), NOW)[0].days if day > date(2026, 11, 29)]
    assert days[:3] == [open_on[0], open_on[2], date(2027, 1, 13)]


def test_undo_of_new_hours_restores_each_rule(author: Actor, town: Town) -> None:
    booked(town, FRIDAY)
    before = state(town)

    id = done(NewHours(town.counter_ids, ((0, 480, 720),), date(2026, 11, 24)), author, Choice.MOVE)
    undone(id, author)

    assert state(town) == before


def test_reopening_gives_back_what_is_left(author: Actor, town: Town) -> None:
    done(
        Closing((Stretch(NOW - timedelta(hours=1), NOW + timedelta(hours=8), {}),), (town.office_id,)),
        author,
        Choice.KEEP,
    )
    closure = db.session.scalars(select(Closure.id)).one()

    done(Reopening((closure,)), author, Choice.KEEP, NOW)

    assert db.session.get_one(Closure, closure).ends_at == NOW


def test_undoing_what_had_opened_time_does_not_lose_who_booked_in_it(author: Actor, town: Town) -> None:
    done(closing(town), author, Choice.KEEP)
    opened = done(Reopening((db.session.scalars(select(Closure.id)).one(),)), author, Choice.KEEP)
    booked(town, FRIDAY)

    with pytest.raises(SlotTaken):
        undone(opened, author)


def test_a_cancelled_appointment_is_not_hit(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)
    start_writing()
    cancel(db.session.get_one(Appointment, id), author, NOW)
    db.session.commit()

    assert looked_at(closing(town), author) == {}
