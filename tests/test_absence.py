"""When things go wrong at a counter: it runs late, a colleague is ill, and nobody is forgotten."""

from __future__ import annotations

import email
from datetime import timedelta
from email import policy

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.absence import close_and_move, proposals, run_late, still_to_come
from booking.appointments.models import Appointment, Occupancy
from booking.appointments.offers import Demand, offers
from booking.appointments.queue import Why, line_of
from booking.appointments.recount import recount
from booking.appointments.visits import is_late, take_step
from booking.db import begin_write, db
from booking.outbox.models import Kind, Message
from booking.staff.models import AuditLine, Role
from booking.townhall.models import Closure, Counter, Office, Service
from booking.worker import run_step
from tests.factories import Town, make_staff
from tests.pages import Visitor
from tests.test_staff_pages import appointment, people, signed_in
from tests.test_visits import NINE, TEN, desk, press, subject

__all__ = ["desk", "people"]
pytestmark = pytest.mark.counter

A_QUARTER = timedelta(minutes=15)


def at_one_counter(app: Flask, town: Town, count: int) -> list[int]:
    """So many appointments of 25 minutes at the first counter, one after the other from nine o'clock on."""
    ids = []
    for n in range(2 * count):
        ids.append(appointment(app, town, f"Citizen {n}", NINE + timedelta(minutes=30 + 30 * (n // 2))))
    with app.app_context():
        return [one for one in ids if subject(one, town).counter_id == town.counter_ids[0]]


def everything_adds_up(town: Town) -> bool:
    db.session.rollback()
    return recount(town.municipality_id, NINE).findings == []


def test_the_citizens_of_the_counter_are_told_that_it_runs_late(app: Flask, desk: Town) -> None:
    mine = at_one_counter(app, desk, 3)
    with app.app_context():
        begin_write()
        counter = db.session.get_one(Counter, desk.counter_ids[0])
        assert run_late(counter, 20, press().actor, NINE) == len(mine)
        db.session.commit()
        late = db.session.scalars(select(Message).where(Message.kind == Kind.LATE)).all()
        assert {one.subject_id for one in late} == set(mine)
        line = db.session.scalars(select(AuditLine).where(AuditLine.action == "run_late")).one()
        assert line.details == {"minutes": 20, "told": len(mine)}
    run_step(app, "e-mail")
    folder = app.extensions["balie"]["settings"].instance / "outbox" / "testdorp"
    letters = [email.message_from_bytes(file.read_bytes(), policy=policy.default) for file in folder.glob("*.eml")]
    told = [one for one in letters if str(one["Subject"]).startswith("We lopen achter")]
    assert len(told) == len(mine)
    assert all("ongeveer 20 minuten achter" in one.get_body(("plain",)).get_content() for one in told)


def test_who_was_told_keeps_the_turn(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        one = subject(id, desk)
        run_late(one.counter, 20, press().actor, NINE)
        at = TEN + timedelta(minutes=25)
        assert not is_late(one, at)
        take_step("arrive", one, press(at=at))

        assert [place.why for place in line_of(one.counter.desk, at).places] == [Why.TIME]


def test_a_colleague_is_ill_and_everybody_has_a_place(app: Flask, desk: Town) -> None:
    mine = at_one_counter(app, desk, 3)
    with app.app_context():
        begin_write()
        counter = db.session.get_one(Counter, desk.counter_ids[0])
        proposed = proposals(counter, NINE)
        assert [one.appointment.id for one in proposed] == mine
        assert {one.counter_id for one in proposed} == {desk.counter_ids[1]}
        assert not any(one.stays_in_time for one in proposed)  # the other counter has somebody at each of these times

        assert close_and_move(counter, [one.key for one in proposed], press().actor, NINE) == len(mine)
        db.session.commit()

        assert still_to_come(counter, NINE) == []
        moved = db.session.scalars(select(Appointment).where(Appointment.id.in_(mine))).all()
        assert {one.starts_at for one in moved} == {one.starts_at for one in proposed}
        news = db.session.scalars(select(Message.subject_id).where(Message.kind == Kind.MOVE)).all()
        assert set(news) == set(mine)
        assert everything_adds_up(desk)
        taken = db.session.execute(select(Occupancy.counter_id, Occupancy.tick)).all()
        assert len(taken) == len(set(taken))
        demand = Demand(db.session.get_one(Service, desk.wedding_id))
        (offered,) = offers([db.session.get_one(Office, desk.office_id)], demand, NINE)
        assert all(start.date() != NINE.date() or start.hour >= 11 for start in offered.starts)


def test_who_keeps_the_time_is_not_written_to(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        begin_write()
        one = subject(id, desk)
        counter, sequence = db.session.get_one(Counter, one.counter_id), one.sequence
        (made,) = proposals(counter, NINE)
        assert made.stays_in_time

        close_and_move(counter, [made.key], press().actor, NINE)
        db.session.commit()

        assert (one.starts_at, one.sequence) == (TEN, sequence)
        assert one.counter_id == made.counter_id != counter.id
        assert db.session.scalars(select(Message).where(Message.kind == Kind.MOVE)).all() == []
        assert everything_adds_up(desk)


def test_who_has_no_other_place_stays_and_can_be_called_anywhere(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        begin_write()
        one = subject(id, desk)
        counter = db.session.get_one(Counter, one.counter_id)
        other = next(number for number in desk.counter_ids if number != counter.id)
        at = {"starts_at": NINE, "ends_at": NINE + timedelta(hours=12)}
        db.session.add(Closure(office_id=desk.office_id, counter_id=other, reasons={}, **at))
        db.session.flush()
        assert [made.counter_id for made in proposals(counter, NINE)] == [None]

        assert close_and_move(counter, [], press().actor, NINE) == 0
        db.session.commit()

        assert one.is_exception and everything_adds_up(desk)
        visit = take_step("arrive", one, press(at=NINE))
        assert take_step("call", visit, press(counter=other)).counter_id == other


def test_who_is_there_before_their_time_is_served_though_the_counter_closes(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        begin_write()
        one = subject(id, desk)
        take_step("arrive", one, press(at=NINE))

        assert close_and_move(db.session.get_one(Counter, one.counter_id), [], press().actor, NINE) == 0
        db.session.commit()

        assert one.is_exception and everything_adds_up(desk)


@pytest.mark.usefixtures("people")
def test_on_the_page_a_lead_closes_the_counter(app: Flask, town: Town) -> None:
    id = appointment(app, town)
    with app.app_context():
        counter_id = subject(id, town).counter_id
    page = signed_in(app, "alice").get(f"/testdorp/staff/counter/{counter_id}")
    assert "1 person is still to come today" in page.text and "same time, counter" in page.text
    lead = signed_in(app, "bob")
    page = lead.get(f"/testdorp/staff/counter/{counter_id}")

    done = lead.follow(lead.send(page.form("/absent")))

    assert "1 appointment was moved" in done.text and "0 people are still to come" in done.text


@pytest.mark.usefixtures("people")
def test_a_clerk_may_say_that_it_runs_late_but_not_close(app: Flask, town: Town) -> None:
    appointment(app, town)
    clerk = signed_in(app, "alice")
    page = clerk.get(f"/testdorp/staff/counter/{town.counter_ids[0]}")

    assert clerk.send(page.form("/late"), minutes="15").status == 303
    assert clerk.send(page.form("/absent")).status == 404
    assert "15 minutes late" in clerk.get(f"/testdorp/staff/agenda/{town.desk_id}").text


def test_nobody_else_has_a_say(app: Flask, town: Town) -> None:
    with app.app_context():
        make_staff(town.municipality_id, "carl@testdorp.example.org", Role.LEAD, None)
        db.session.commit()
    assert Visitor(app).get(f"/testdorp/staff/counter/{town.counter_ids[0]}").status == 302
