"""A day without network is entered afterwards: outcomes, and who came without an appointment; all counts stay right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.agenda import agenda
from booking.appointments.models import Visit, VisitState, VisitStep
from booking.appointments.recount import recount
from booking.appointments.visits import take_step, undo, waited
from booking.db import begin_write, db
from booking.staff.models import AuditLine
from booking.townhall.models import Desk
from tests.conftest import Clock
from tests.factories import Town
from tests.pages import Form, Page, Visitor
from tests.test_staff_pages import TEN, appointment, people, signed_in
from tests.test_visits import desk, press, subject

__all__ = ["desk", "people"]
pytestmark = pytest.mark.counter

ON = "2026-11-23"
ELEVEN = TEN + timedelta(hours=1)


def page_of(visitor: Visitor, town: Town, on: str = ON) -> Page:
    return visitor.get(f"/testdorp/staff/afterwards/{town.desk_id}/{on}")


def form_of(page: Page) -> Form:
    return next(form for form in page.forms if "form" in form.values)


def sent(visitor: Visitor, town: Town, **typed: str) -> Page:
    """Fills the page in as given; what is not given stays as it stands there."""
    values = {**form_of(page_of(visitor, town)).values, **typed}
    return visitor.post(f"/testdorp/staff/afterwards/{town.desk_id}/{ON}", values)


@pytest.mark.usefixtures("people")
def test_a_whole_day_is_entered_with_one_button(app: Flask, town: Town, clock: Clock) -> None:
    came, missed, left = (
        appointment(app, town, name, at)
        for name, at in (("Zoë Janssens", TEN), ("Piet Claes", TEN), ("Lien Maes", ELEVEN))
    )
    clock.advance(days=1)
    alice = signed_in(app, "alice")
    asked = alice.get(f"/testdorp/staff/agenda/{town.desk_id}/{ON}")
    assert f"/testdorp/staff/afterwards/{town.desk_id}/{ON}" in asked.links

    page = alice.follow(
        sent(
            alice,
            town,
            **{f"out-{missed}": "missed", f"out-{left}": "left", "rest": "served"},
            **{"came-0": "09:20", "service-0": "passport", "people-0": "2", "counter-0": str(town.counter_ids[1])},
            **{"came-1": "10:45", "outcome-1": "left"},
        )
    )

    assert "Entered: 3 appointments and 2 visits without an appointment." in page.text
    assert "Of every appointment that is over it is said what became of it." in page.text
    with app.app_context():
        found = {visit.appointment_id: visit for visit in db.session.scalars(select(Visit))}
        states = {id: visit.state for id, visit in found.items() if id}
        assert states == {came: VisitState.SERVED, missed: VisitState.MISSED, left: VisitState.LEFT}
        assert (found[came].arrived_at, found[came].served_at) == (TEN, TEN + timedelta(minutes=25))
        first, second = db.session.scalars(select(Visit).where(Visit.appointment_id.is_(None)).order_by(Visit.id))
        assert first.arrived_at == datetime(2026, 11, 23, 8, 20, tzinfo=UTC) and str(first.came_on) == ON
        assert (first.people, first.service_id, first.number) == (2, town.passport_id, None)
        assert (second.state, second.service_id) == (VisitState.LEFT, None)
        steps = db.session.scalars(select(VisitStep).where(VisitStep.visit_id == first.id)).all()
        assert [(one.step, one.counter_id) for one in steps] == [("enter", town.counter_ids[1])]
        assert all(waited(visit) is None for visit in found.values())  # nobody knows how long they waited
        counted = dict(agenda(db.session.get_one(Desk, town.desk_id), TEN.date(), clock.now).states)
        assert (counted["served"], counted["missed"], counted["left"], counted["expected"]) == (1, 1, 1, 0)
        actions = db.session.scalars(select(AuditLine.action).where(AuditLine.staff_id.is_not(None))).all()
        assert actions.count("enter") == 5 and actions.count("enter_day") == 1
        db.session.rollback()
        assert recount(town.municipality_id, clock.now).findings == []


@pytest.mark.usefixtures("people")
def test_a_time_is_read_as_people_type_it(app: Flask, town: Town, clock: Clock) -> None:
    clock.advance(days=1)
    typed = {f"came-{n}": text for n, text in enumerate(("0915", "915", "9:15", "9.15", "9u15", "09h15"))}

    assert sent(signed_in(app, "alice"), town, **typed).status == 303

    with app.app_context():
        assert set(db.session.scalars(select(Visit.arrived_at))) == {datetime(2026, 11, 23, 8, 15, tzinfo=UTC)}
        assert db.session.scalar(select(func.count()).select_from(Visit)) == 6


@pytest.mark.usefixtures("people")
def test_a_form_sent_twice_enters_once(app: Flask, town: Town, clock: Clock) -> None:
    appointment(app, town)
    clock.advance(days=1)
    alice = signed_in(app, "alice")
    values = {**form_of(page_of(alice, town)).values, "rest": "served", "came-0": "09:20"}

    for _ in range(2):
        assert alice.post(f"/testdorp/staff/afterwards/{town.desk_id}/{ON}", values).status == 303

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Visit)) == 2


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"came-3": "25:00"}, "Line 4: Enter a time of the day like 18:00."),
        ({"came-0": "09:20", "people-0": "0"}, "Line 1: Enter 1 to 20 people."),
        ({"came-0": "15:00"}, "Line 1: This time is still to come."),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    app: Flask, town: Town, clock: Clock, typed: dict[str, str], words: str
) -> None:
    id = appointment(app, town)
    clock.now = ELEVEN

    page = sent(signed_in(app, "alice"), town, **typed, **{f"out-{id}": "missed", "came-1": "09:45"})

    assert page.status == 422 and words in page.text
    assert form_of(page).values | typed == form_of(page).values
    assert form_of(page).values[f"out-{id}"] == "missed" and form_of(page).values["came-1"] == "09:45"
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Visit)) == 0


@pytest.mark.usefixtures("people")
def test_when_the_network_is_back_at_eleven_the_morning_is_entered_as_it_was_planned(
    app: Flask, town: Town, clock: Clock
) -> None:
    over, still = appointment(app, town), appointment(app, town, "Piet Claes", ELEVEN)
    clock.now = ELEVEN
    alice = signed_in(app, "alice")
    assert f"out-{still}" not in form_of(page_of(alice, town)).values

    sent(alice, town, rest="served", **{f"out-{still}": "served"})

    with app.app_context():
        visits = db.session.scalars(select(Visit)).all()
        assert [(one.appointment_id, one.arrived_at) for one in visits] == [(over, TEN)]


@pytest.mark.usefixtures("people")
def test_what_a_colleague_entered_meanwhile_stays(app: Flask, town: Town, clock: Clock) -> None:
    id, other = appointment(app, town), appointment(app, town, "Piet Claes")
    clock.advance(days=1)
    alice, bob = signed_in(app, "alice"), signed_in(app, "bob")
    values = {**form_of(page_of(alice, town)).values, "rest": "served"}
    sent(bob, town, **{f"out-{id}": "missed"})

    page = alice.follow(alice.post(f"/testdorp/staff/afterwards/{town.desk_id}/{ON}", values))

    assert "Entered: 1 appointment and" in page.text
    with app.app_context():
        states = {one.appointment_id: one.state for one in db.session.scalars(select(Visit))}
        assert states == {id: VisitState.MISSED, other: VisitState.SERVED}


@pytest.mark.usefixtures("people")
def test_what_was_entered_by_mistake_is_taken_back(app: Flask, town: Town, clock: Clock) -> None:
    id = appointment(app, town)
    clock.advance(days=1)
    alice = signed_in(app, "alice")
    page = alice.follow(sent(alice, town, rest="served", **{"came-0": "09:20"}))

    page = alice.follow(alice.send(page.form("/away")))

    assert "09:20" not in page.text
    with app.app_context():
        begin_write()
        undo(subject(id, town), press(at=clock.now))
        db.session.commit()
        (visit,) = db.session.scalars(select(Visit))
        assert visit.state == VisitState.EXPECTED and visit.served_at is None


def test_a_visit_of_the_day_itself_cannot_be_taken_out(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        begin_write()
        visit_id = take_step("arrive", subject(id, desk), press()).id
        db.session.commit()
    alice = signed_in(app, "alice")
    token = {"csrf_token": alice.get("/testdorp/staff/feeds").forms[0].values["csrf_token"]}

    assert alice.post(f"/testdorp/staff/afterwards/visit/{visit_id}/away", token).status == 409


@pytest.mark.usefixtures("people")
def test_a_day_to_come_is_not_entered(app: Flask, town: Town) -> None:
    alice = signed_in(app, "alice")
    for on in ("2026-11-24", "1999-01-01", "yesterday"):
        assert page_of(alice, town, on).status == 404
