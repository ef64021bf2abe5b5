"""Random changes of hours and closures between random bookings: nothing breaks, and no promise is silently lost.

What each citizen was last told is kept beside the town. Where an appointment is not as told any more, a message about
that waits or went, or the change names the citizen as one who must be told by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.booking import Citizen, TooLate, book, cancel, move
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, Channel
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, offer
from booking.appointments.recount import recount
from booking.appointments.timelines import office_lines
from booking.db import begin_write, db
from booking.outbox.models import Kind, Message, MessageState
from booking.planning.impact import Decision, accept_proposal, apply, preview
from booking.planning.models import Adjustment, Choice, Hit
from booking.planning.undo import Gone, undo
from booking.staff.audit import citizen_of, member
from booking.staff.models import Role
from booking.townhall.models import Closure, Office, Service
from booking.townhall.plans import Closing, NewHours, Overtaken, Plan, Reopening, Stretch
from tests.factories import Town, make_staff

pytestmark = [pytest.mark.townhall, pytest.mark.slow]

BEGINS = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
STEPS = 45
GONE = (MessageState.QUEUED, MessageState.SENDING, MessageState.SENT)


@dataclass
class Told:
    """What the citizen believes: the start, or None for cancelled."""

    start: datetime | None


class Life:
    def __init__(self, town: Town, seed: int) -> None:
        self.town, self.chance, self.now = town, Random(seed), BEGINS
        self.told: dict[int, Told] = {}
        self.author = member(make_staff(town.municipality_id, "mia@testdorp.example.org", Role.MANAGER))
        self.citizen = citizen_of(town.municipality_id)
        db.session.commit()

    def step(self) -> None:
        self.now += timedelta(minutes=self.chance.choice([1, 4, 30, 600]))
        actions = [self.book] * 7 + [self.move, self.cancel, self.accept] + [self.plan] * 5 + [self.undo] * 2
        db.session.rollback()
        begin_write()
        try:
            self.chance.choice(actions)()
            db.session.commit()
        except (SlotTaken, TooLate, Gone, Overtaken):
            db.session.rollback()

    def book(self) -> None:
        office, service = self.office(), db.session.get_one(Service, self.town.passport_id)
        free = list(offer(office_lines(office, self.now), Demand(service), self.now).starts)[:250]
        if free:
            start = self.chance.choice(free).astimezone(UTC)
            email = self.chance.choice(["z@example.org", None])
            kept = hold(office, Demand(service), start, self.now)
            made = book(kept, Citizen("Zoë", "nl", email), Channel.WEB, self.citizen, self.now)
            self.told[made.appointments[0].id] = Told(start)

    def move(self) -> None:
        one = self.any_appointment()
        free = list(offer(office_lines(self.office(), self.now), Demand(one.items[0].service), self.now).starts)[:100]
        if free:
            start = self.chance.choice(free).astimezone(UTC)
            move(one, self.office(), start, self.citizen, self.now)
            self.told[one.id] = Told(start)

    def cancel(self) -> None:
        one = self.any_appointment()
        cancel(one, self.citizen, self.now)
        self.told[one.id] = Told(None)

    def accept(self) -> None:
        one = self.any_appointment()
        accept_proposal(one, self.citizen, self.now)
        self.told[one.id] = Told(one.starts_at if one.is_booked else None)

    def plan(self) -> None:
        made = self.any_plan()
        proposed = {one.appointment_id: one.start for one in preview(made, self.author, self.now)}
        db.session.rollback()
        begin_write()
        choices = {id: self.chance.choice(list(Choice)) for id in proposed}
        decisions = {
            id: Decision(Choice.KEEP if choices[id] == Choice.MOVE and start is None else choices[id], start)
            for id, start in proposed.items()
        }
        apply(made, decisions, self.author, self.now)

    def undo(self) -> None:
        adjustment = db.session.scalar(select(Adjustment).order_by(Adjustment.id.desc()).limit(1))
        if adjustment is not None:
            undo(adjustment, self.author, self.now)

    def any_plan(self) -> Plan:
        day = self.now.date() + timedelta(days=self.chance.randint(0, 6))
        counters = tuple(self.chance.sample(self.town.counter_ids, self.chance.randint(1, 2)))
        closures = db.session.scalars(select(Closure.id).where(Closure.ends_at > self.now)).all()
        kind = self.chance.choice(["close", "close counter", "hours", "reopen"])
        if kind == "reopen" and closures:
            return Reopening((self.chance.choice(closures),))
        if kind == "hours":
            week = tuple((weekday, self.chance.choice([480, 540, 600]), 900) for weekday in range(5))
            last = self.chance.choice([None, day, day + timedelta(days=9)])
            return NewHours(counters, week, max(day, self.now.date()), last, self.chance.choice([1, 1, 2]))
        starts = datetime(day.year, day.month, day.day, self.chance.randint(0, 12), tzinfo=UTC)
        stretch = Stretch(starts, starts + timedelta(hours=self.chance.randint(1, 30)), {"nl": "Dicht"})
        return Closing((stretch,), (self.town.office_id,)) if kind == "close" else Closing((stretch,), (), counters)

    def any_appointment(self) -> Appointment:
        if not self.told:
            raise SlotTaken
        return db.session.get_one(Appointment, self.chance.choice(list(self.told)))

    def office(self) -> Office:
        return db.session.get_one(Office, self.town.office_id)

    def nobody_is_forgotten(self) -> None:
        for id, told in self.told.items():
            one = db.session.get_one(Appointment, id)
            if (one.starts_at if one.is_booked else None) == told.start:
                continue
            kind = Kind.MOVE if one.is_booked else Kind.CANCELLATION
            said = select(Message.id).where(Message.subject_id == id, Message.kind == kind, Message.state.in_(GONE))
            hit = select(Hit.id).where(
                Hit.appointment_id == id, Hit.sequence == one.sequence, Hit.choice != Choice.KEEP
            )
            if one.booking.email:
                assert db.session.scalar(said.where(Message.sequence == one.sequence)), f"{id} was never told"
            else:
                assert db.session.scalar(hit), f"nobody knows that {id} must be told"


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_no_change_of_hours_breaks_or_loses_anything(context: Flask, town: Town, seed: int) -> None:
    life = Life(town, seed)
    for _step in range(STEPS):
        life.step()
        db.session.rollback()
        findings = recount(town.municipality_id, life.now).findings
        assert not findings, [one.named for one in findings]
        life.nobody_is_forgotten()
    assert len(life.told) > 10
    assert db.session.scalar(select(Hit.id).limit(1)), "no change hit anybody: the life was too quiet"


def test_a_change_that_tells_nobody_would_be_found(context: Flask, town: Town) -> None:
    """The check itself is checked: an appointment that is moved behind the citizen's back is noticed."""
    life = Life(town, 1)
    while not life.told:
        life.step()
    one = life.any_appointment()
    one.starts_at, one.ends_at = one.starts_at + timedelta(days=1), one.ends_at + timedelta(days=1)
    db.session.flush()

    with pytest.raises(AssertionError, match=r"told"):
        life.nobody_is_forgotten()
