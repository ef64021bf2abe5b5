"""A booking keeps its name: who could put another one in could sell the time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from booking.appointments.models import Appointment, Booking
from booking.config import ROOT
from booking.db import db
from booking.links import token
from booking.staff.models import Role
from tests.conftest import KEYS
from tests.factories import PASSWORD, Town, make_staff
from tests.pages import Visitor

pytestmark = pytest.mark.citizen

ALICE = {"name": "Alice Peeters", "reach": "email", "email": "alice@example.org", "phone": ""}
OTHER = {**ALICE, "name": "Buyer Of Times", "email": "buyer@example.org", "typed": "Buyer Of Times"}


def posts(app: Flask) -> list[Rule]:
    return [rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]


def addresses(app: Flask, rule: Rule, given: dict[str, object]) -> Iterator[str]:
    """The route's address for what was booked; none for routes that name something else."""
    if set(rule.arguments) <= set(given):
        with app.test_request_context("/", environ_overrides={"SCRIPT_NAME": "/testdorp"}):
            yield "/testdorp" + str(
                app.url_map.bind("localhost").build(rule.endpoint, {name: given[name] for name in rule.arguments})
            )


def test_no_route_gives_a_booking_another_name(app: Flask, town: Town) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    visitor = Visitor(app)
    details = visitor.follow(visitor.press(visitor.get("/testdorp/en/service/passport").form("/hold")))
    visitor.send(details.forms[-1], **ALICE)
    with app.app_context():
        make_staff(town.municipality_id, "ann@testdorp.example.org", Role.ADMINISTRATOR)
        booking, appointment = db.session.scalars(select(Booking)).one(), db.session.scalars(select(Appointment)).one()
        given: dict[str, object] = {"lang": "en", "id": appointment.id, "desk_id": town.desk_id}
        tokens = [token(KEYS, "booking", booking.id, booking.generation), details.forms[-1].action.rpartition("/")[2]]
        first = appointment.id
        db.session.commit()
    visitor.sign_in("testdorp", "ann@testdorp.example.org", PASSWORD)
    tried = 0
    for rule in posts(app):
        if rule.endpoint.startswith(("citizen.", "staff.")) and "sign_out" not in rule.endpoint:
            for secret in tokens:
                for address in addresses(app, rule, {**given, "token": secret}):
                    visitor.post(address, OTHER)
                    tried += 1

    assert tried > 20
    with app.app_context():
        assert db.session.get_one(Appointment, first).booking.name == "Alice Peeters"


def test_no_code_sets_the_name_of_a_booking_but_booking_and_erasure() -> None:
    setting = set()
    for file in (ROOT / "booking").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                if (
                    isinstance(target, ast.Attribute)
                    and target.attr == "name"
                    and "booking" in ast.unparse(target.value)
                ):
                    setting.add(file.name)

    assert setting == {"forget.py"}
