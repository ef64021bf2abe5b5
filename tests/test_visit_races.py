"""Several at once want visits of several desks: each gets all of it or nothing, and nobody waits in a circle."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.booking import Citizen
from booking.appointments.holds import hold
from booking.appointments.limits import Contact
from booking.appointments.models import Appointment, Booking, Channel, Hold
from booking.appointments.offers import Demand
from booking.appointments.timelines import office_lines
from booking.appointments.together import book_visit, cancel_visit, errands_of, hold_visit, move_visit
from booking.db import db
from booking.outbox.models import MessageChannel
from booking.staff.audit import citizen_of
from booking.townhall.models import Office, Service
from booking.townhall.standing import Standing, standing
from tests.conftest import MONDAY
from tests.test_races import Call, together
from tests.test_together import SLUG, TEN, errands, hall, make_visit_town

pytestmark = pytest.mark.races

ONE_CONTACT = Citizen("Alice Peeters", "nl", contacts=(Contact(MessageChannel.EMAIL, ("alice",)),))
CLIENTS = 12


def town() -> Standing:
    found = standing(SLUG)
    assert found
    return found[0]


def hold_all(start: datetime) -> None:
    here = town()
    hold_visit(errands(here, MONDAY), hall(here), start)


def hold_one(service_id: int, office_id: int, start: datetime) -> None:
    hold(db.session.get_one(Office, office_id), Demand(db.session.get_one(Service, service_id)), start, MONDAY)


def book_all(hold_id: int) -> None:
    held = db.session.get_one(Hold, hold_id)
    book_visit(held, ONE_CONTACT, Channel.WEB, citizen_of(town().municipality.id), MONDAY)


def move_all(booking_id: int, start: datetime) -> None:
    here, made = town(), db.session.get_one(Booking, booking_id)
    lines = {id: office_lines(office, MONDAY) for id, office in here.offices.items()}
    asked = errands_of(made.appointments, here, lines, MONDAY)
    move_visit(asked, made.appointments, hall(here), start, citizen_of(here.municipality.id))


def cancel_all(booking_id: int) -> None:
    made = db.session.get_one(Booking, booking_id)
    cancel_visit(made.appointments, citizen_of(town().municipality.id), MONDAY)


def check_nothing_meets() -> None:
    booked = [one for one in db.session.scalars(select(Appointment)) if one.is_booked]
    for one, following in pairwise(sorted(booked, key=lambda one: (one.counter_id, one.starts_at))):
        assert one.counter_id != following.counter_id or one.ends_at <= following.starts_at


def test_of_many_visits_and_single_holds_at_once_each_is_whole_or_refused(app: Flask) -> None:
    with app.app_context():
        make_visit_town()
        here = town()
        last, annex = here.services[-1].id, max(here.offices)
        db.session.rollback()
    visits: list[Call] = [(hold_all, (TEN + timedelta(minutes=5 * (n % 3)),)) for n in range(CLIENTS)]
    singles: list[Call] = [(hold_one, (last, annex, TEN + timedelta(minutes=60 + 5 * n))) for n in range(4)]

    done = Counter(together(app, [*visits, *singles]))

    assert set(done) == {"done", "SlotTaken"}
    with app.app_context():
        groups = Counter(one.first_id or one.id for one in db.session.scalars(select(Hold).where(Hold.desks == 3)))
        assert groups and set(groups.values()) == {3}
        ids = list(groups)

    assert set(together(app, [(book_all, (id,)) for id in ids for _twice in range(2)])) == {"done"}
    with app.app_context():
        made = list(db.session.scalars(select(Booking)))
        assert len(made) == len(ids) and {len(one.appointments) for one in made} == {3}
        booking_ids = [one.id for one in made]
        check_nothing_meets()

    tomorrow = TEN + timedelta(days=1)
    moves: list[Call] = [(move_all, (id, tomorrow + timedelta(minutes=5 * n))) for id in booking_ids for n in range(2)]
    results = Counter(together(app, [*moves, (cancel_all, (booking_ids[0],))]))

    assert set(results) <= {"done", "SlotTaken", "TooLate"}
    with app.app_context():
        for made_one in db.session.scalars(select(Booking)):
            days = {one.starts_at.date() for one in made_one.appointments}
            assert len(days) == 1, "a visit is moved as a whole"
            assert len({one.is_booked for one in made_one.appointments}) == 1
        check_nothing_meets()
