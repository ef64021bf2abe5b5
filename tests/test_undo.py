"""Undo after other changes: nothing that citizens were told is lost by it, and ids never come again."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.db import db
from booking.outbox.held import send_now
from booking.outbox.models import Kind, Message, MessageState
from booking.outbox.queue import claim, record_sent
from booking.planning.impact import open_proposal
from booking.planning.models import Adjustment, Choice
from booking.planning.undo import Gone
from booking.staff.audit import Actor
from booking.townhall.models import Closure, Counter, Municipality, OpeningHours
from booking.townhall.plans import Closing, NewHours, Overtaken, Reopening, Stretch
from booking.townhall.removal import remove
from booking.townhall.revisions import raise_town
from tests.factories import Town
from tests.test_planning import (
    FRIDAY,
    LATER,
    NOW,
    author,
    booked,
    closing,
    done,
    nothing_is_wrong,
    start_writing,
    undone,
)

pytestmark = pytest.mark.townhall
author = author  # noqa: PLW0127  (a fixture)


def sent(id: int) -> None:
    """Lets the messages of the change go, and sends them."""
    start_writing()
    change = db.session.get_one(Adjustment, id)
    send_now(change.municipality_id, change.name, LATER)
    for message in db.session.scalars(select(Message).where(Message.change == change.name)).all():
        if message.kind != Kind.REMINDER and claim(message.id, LATER):
            record_sent(message.id, None, LATER)
    db.session.commit()


def closed_on(day: int, town: Town) -> Closing:
    """The office does not serve on that day of November."""
    midnight = FRIDAY - timedelta(hours=9) + timedelta(days=day - 27)
    return Closing((Stretch(midnight, midnight + timedelta(days=1), {}),), (town.office_id,))


def test_a_proposal_outlives_a_later_change_that_is_undone(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)
    sent(done(closing(town), author, Choice.MOVE))  # to Thursday
    proposed = db.session.get_one(Appointment, id).starts_at

    later = done(closed_on(26, town), author, Choice.MOVE)
    undone(later, author)

    one = db.session.get_one(Appointment, id)
    assert one.starts_at == proposed
    hit = open_proposal(one)
    assert hit is not None and hit.starts_at == FRIDAY
    nothing_is_wrong(town)


def test_two_changes_of_one_appointment_are_undone_one_after_the_other(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)
    first = done(closing(town), author, Choice.MOVE)
    second = done(closed_on(26, town), author, Choice.CANCEL)

    undone(second, author)
    nothing_is_wrong(town)
    undone(first, author)

    one = db.session.get_one(Appointment, id)
    assert (one.is_booked, one.starts_at) == (True, FRIDAY)
    waits = select(Message.kind).where(Message.subject_id == id, Message.state == MessageState.QUEUED)
    assert set(db.session.scalars(waits)) == {Kind.CONFIRMATION, Kind.REMINDER}
    nothing_is_wrong(town)


def test_news_that_a_later_change_had_dropped_waits_on_for_its_own(author: Actor, town: Town) -> None:
    booked(town, FRIDAY)
    first = done(closing(town), author, Choice.MOVE)
    undone(done(closed_on(26, town), author, Choice.MOVE), author)

    news = select(Message).where(Message.kind == Kind.MOVE, Message.state == MessageState.QUEUED)
    (message,) = db.session.scalars(news).all()

    assert (message.change, message.due_at) == (f"adjustment-{first}", NOW + timedelta(minutes=10))
    sent(first)
    with pytest.raises(Gone):
        undone(first, author)


def test_a_row_that_was_taken_away_comes_back_though_newer_ones_are_there(author: Actor, town: Town) -> None:
    done(closing(town), author, Choice.KEEP)
    opened = done(Reopening((db.session.scalars(select(Closure.id)).one(),)), author, Choice.KEEP)
    done(closed_on(30, town), author, Choice.KEEP)

    undone(opened, author)

    assert len(db.session.scalars(select(Closure)).all()) == 2


def test_the_same_closure_once_more_is_another_one(author: Actor, town: Town) -> None:
    first = done(closing(town), author, Choice.KEEP)
    done(Reopening((db.session.scalars(select(Closure.id)).one(),)), author, Choice.KEEP)
    done(closing(town), author, Choice.KEEP)

    with pytest.raises(Overtaken):
        undone(first, author)


def test_hours_of_a_counter_that_was_taken_out_since_do_not_come_back(author: Actor, town: Town) -> None:
    counter = town.counter_ids[1]
    made = done(NewHours((counter,), (), date(2020, 1, 1)), author, Choice.KEEP)
    start_writing()
    raise_town(db.session.get_one(Municipality, town.municipality_id), NOW)
    remove(db.session.get_one(Counter, counter))
    db.session.commit()

    with pytest.raises(Overtaken):
        undone(made, author)

    assert not db.session.scalars(select(OpeningHours).where(OpeningHours.counter_id == counter)).all()


def test_an_exception_that_is_in_another_closure_as_well_stays_one(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)
    morning = Stretch(FRIDAY, FRIDAY + timedelta(hours=2), {})
    first = done(Closing((morning,), (town.office_id,)), author, Choice.KEEP)
    done(closing(town), author, Choice.KEEP)

    undone(first, author)

    assert db.session.get_one(Appointment, id).is_exception
    nothing_is_wrong(town)
