"""Every route of the staff, tried by whom it must not let in: another desk or town, a session that has ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from booking.appointments.booking import place
from booking.appointments.models import Appointment, Visit
from booking.appointments.visits import take_step, take_ticket, undo
from booking.db import begin_write, db
from booking.staff.audit import citizen_of
from booking.staff.models import Device, DeviceKind, Role, Staff
from booking.townhall.models import Desk, Municipality, Office
from tests.factories import PASSWORD, Town, make_counter, make_desk, make_office, make_staff
from tests.pages import Visitor
from tests.test_guards import address, day, rules
from tests.test_staff_pages import appointment, people, signed_in
from tests.test_visits import NINE, TEN, press, subject

__all__ = ["day", "people"]
pytestmark = pytest.mark.house


@pytest.fixture
def full(app: Flask, town: Town, day: int) -> int:
    """Also a clerk of the desk, a walk-in there and a kiosk: whatever has the number 1 is of that desk. Otto leads all
    of another office."""
    with app.app_context():
        begin_write()
        make_staff(town.municipality_id, "alice@testdorp.example.org", desk_id=town.desk_id)
        db.session.flush()
        take_ticket(db.session.get_one(Desk, town.desk_id), None, 1, press("alice", NINE))
        annex = make_office(db.session.get_one(Municipality, town.municipality_id), 2)
        make_counter(make_desk(annex, key="economy"))
        make_staff(town.municipality_id, "otto@testdorp.example.org", Role.LEAD, office_id=annex.id)
        db.session.add(Device(office_id=town.office_id, kind=DeviceKind.KIOSK, name="Hall", made_at=NINE))
        db.session.commit()
    return day


def tried(visitor: Visitor, rule: Rule, token: str) -> Iterator[tuple[str, int, str]]:
    """What each method of the route answers: its name, the status and where it leads."""
    where = "elders" if "elders" in token else "testdorp"
    value = token.removeprefix("elders:")
    for method in sorted((rule.methods or set()) & {"GET", "POST"}):
        path = address(rule, where)
        page = visitor.get(path) if method == "GET" else visitor.post(path, {"csrf_token": value})
        yield method, page.status, page.location


def staff_rules(app: Flask) -> list[Rule]:
    return [rule for rule in rules(app) if rule.endpoint.startswith("staff.")]


def token_of(visitor: Visitor, town: str = "testdorp") -> str:
    value = visitor.get(f"/{town}/staff/feeds").forms[0].values["csrf_token"]
    return f"elders:{value}" if town == "elders" else value


@pytest.mark.parametrize(("where", "who"), [("testdorp", "dora"), ("testdorp", "otto"), ("elders", "charlie")])
def test_what_belongs_to_another_desk_office_or_town_is_not_there(app: Flask, full: int, where: str, who: str) -> None:
    visitor = Visitor(app)
    assert visitor.sign_in(where, f"{who}@{where}.example.org", PASSWORD).status == 303
    token = token_of(visitor, where)
    for rule in staff_rules(app):
        if who == "dora" and rule.endpoint.endswith("_device"):
            continue  # she leads a desk of that office, and so its waiting room
        if rule.arguments & {"id", "desk_id", "counter_id"}:
            for method, status, _ in tried(visitor, rule, token):
                assert status == 404, (method, rule.rule)


@pytest.mark.parametrize("how", ["revoked", "switched off", "expired"])
def test_a_session_that_has_ended_opens_nothing(app: Flask, full: int, how: str) -> None:
    visitor = signed_in(app, "alice")
    token = token_of(visitor)
    with app.app_context():
        alice = db.session.scalars(select(Staff).where(Staff.email.startswith("alice"))).one()
        alice.generation += how == "revoked"
        alice.is_active = how != "switched off"
        db.session.commit()
    if how == "expired":
        app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(seconds=-1)
    for rule in staff_rules(app):
        for method, status, location in tried(visitor, rule, token):
            if method == "GET":
                assert status == 302 and "/staff/sign-in" in location, rule.rule
            else:
                assert status in (400, 403), rule.rule  # the token of the form has ended with the session


@pytest.mark.parametrize("where", ["another desk", "another office"])
@pytest.mark.usefixtures("people")
def test_a_clerk_has_no_say_over_what_was_moved_to_another_desk(app: Flask, town: Town, where: str) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    steps, token = f"/testdorp/staff/appointment/{id}", {"csrf_token": token_of(alice), "note": "Brings a photo"}
    assert alice.post(f"{steps}/note", token).status == 303
    with app.app_context():
        begin_write()
        take_step("arrive", subject(id, town), press(at=NINE))
        undo(subject(id, town), press(at=NINE))  # by mistake: a number was drawn, and they are expected again
        office = db.session.get_one(Office, town.office_id)
        if where == "another office":
            office = make_office(db.session.get_one(Municipality, town.municipality_id), 2)
        desk = make_desk(office, key="building")
        make_staff(town.municipality_id, "dora@testdorp.example.org", desk_id=desk.id)
        counter = make_counter(desk)
        take_ticket(desk, None, 1, press(at=NINE))  # the number 1 of another office
        place(db.session.get_one(Appointment, id), counter.id, TEN, citizen_of(town.municipality_id), NINE)
        db.session.commit()
        visit = db.session.scalars(select(Visit).where(Visit.appointment_id == id)).one()
        assert (visit.desk_id, visit.office_id, visit.note) == (desk.id, office.id, "Brings a photo")
        visit_id = visit.id

    for step in (f"{steps}/arrive", f"{steps}/note", f"/testdorp/staff/visit/{visit_id}/note"):
        assert alice.post(step, token).status == 404

    dora = signed_in(app, "dora")
    assert dora.post(f"{steps}/arrive", {"csrf_token": token_of(dora)}).status == 303
