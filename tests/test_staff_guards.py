"""Every route of the staff, tried by whom it must not let in: another desk or town, a session that has ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from booking.appointments.visits import take_ticket
from booking.db import begin_write, db
from booking.staff.models import Device, DeviceKind, Staff
from booking.townhall.models import Desk
from tests.factories import PASSWORD, Town
from tests.pages import Visitor
from tests.test_guards import address, day, rules
from tests.test_staff_pages import signed_in
from tests.test_visits import NINE, press

__all__ = ["day"]
pytestmark = pytest.mark.house


@pytest.fixture
def full(app: Flask, town: Town, day: int) -> int:
    """Also a clerk of the desk, a walk-in there and a kiosk: whatever has the number 1 is of that desk."""
    from tests.factories import make_staff

    with app.app_context():
        begin_write()
        make_staff(town.municipality_id, "alice@testdorp.example.org", desk_id=town.desk_id)
        db.session.flush()
        take_ticket(db.session.get_one(Desk, town.desk_id), None, 1, press("alice", NINE))
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


@pytest.mark.parametrize(("where", "who"), [("testdorp", "dora"), ("elders", "charlie")])
def test_what_belongs_to_another_desk_or_town_is_not_there(app: Flask, full: int, where: str, who: str) -> None:
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
