"""What others had to mend at their counters, and that it does not happen here. The rest of their list is in
test_visits (two clerks and one person, recall of missed and parked, calls from the future), test_staff_booking (a form
sent twice, two who choose the same time, a day that fills up meanwhile) and test_races (series and moves)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from booking.appointments.agenda import agenda
from booking.appointments.models import Booking, Visit, VisitState
from booking.appointments.offers import Demand, offers
from booking.appointments.queue import line_of, next_for
from booking.appointments.visits import take_step
from booking.db import db
from booking.townhall.models import Closure, Counter, Desk, Office, OpeningHours, Service
from tests.conftest import MONDAY
from tests.factories import Town
from tests.pages import Visitor
from tests.test_devices import codes, kiosk, show
from tests.test_staff_pages import appointment
from tests.test_visits import NINE, TEN, desk, press, subject

__all__ = ["desk", "kiosk"]
pytestmark = pytest.mark.counter


def test_who_has_not_come_is_not_in_the_queue(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        place = db.session.get_one(Desk, desk.desk_id)
        assert line_of(place, TEN).places == ()
        assert all(next_for(counter, TEN) is None for counter in place.counters)

        take_step("arrive", subject(id, desk), press(at=NINE))
        assert len(line_of(place, TEN).places) == 1


def test_an_appointment_keeps_its_length_when_the_opening_hours_are_deleted(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        db.session.execute(delete(OpeningHours))
        db.session.commit()

        shown = agenda(db.session.get_one(Desk, desk.desk_id), NINE.date(), NINE)

        (block,) = [block for column in shown.columns for block in column.blocks if block.appointment]
        assert (block.appointment and block.appointment.id, block.rows) == (id, 5)  # 25 minutes for two people


def test_a_holiday_on_the_first_free_day_leaves_the_days_after_it(app: Flask, desk: Town) -> None:
    with app.app_context():
        starts = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
        db.session.add(
            Closure(office_id=desk.office_id, starts_at=starts, ends_at=starts + timedelta(days=1), reasons={})
        )
        db.session.commit()
        office, service = db.session.get_one(Office, desk.office_id), db.session.get_one(Service, desk.passport_id)

        (offered,) = offers([office], Demand(service), MONDAY)

        assert offered.first == datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def test_checking_in_at_the_kiosk_counts_nobody_twice_and_nobody_as_a_walk_in(
    app: Flask, desk: Town, kiosk: Visitor
) -> None:
    id = appointment(app, desk)
    for _ in range(2):
        show(kiosk, codes(app, id)["digits"])
    with app.app_context():
        assert db.session.scalars(select(Booking.channel)).all() == ["web"]
        assert db.session.scalar(select(func.count()).select_from(Visit).where(Visit.appointment_id.is_(None))) == 0
        counted = dict(agenda(db.session.get_one(Desk, desk.desk_id), NINE.date(), NINE).states)
        assert counted[VisitState.ARRIVED] == 1 and sum(counted.values()) == 1


def test_a_busy_counter_is_not_free_because_its_visit_is_sent_on_and_comes_back(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        counter = db.session.get_one(Counter, desk.counter_ids[0])
        take_step("call", subject(id, desk), press(counter=counter.id))
        visit = take_step("queue", subject(id, desk), press())

        assert visit.counter_id is None and next_for(counter, TEN) is visit
