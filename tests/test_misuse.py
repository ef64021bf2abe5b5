"""What somebody could do to a town or to others by booking and moving, and what stops it."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.models import Booking
from booking.db import db
from booking.townhall.models import Municipality
from tests.conftest import Clock
from tests.factories import Town
from tests.pages import Page, Visitor

pytestmark = pytest.mark.citizen

HOME = "/testdorp/en/"
ALICE = {"name": "Alice Peeters", "reach": "email", "email": "alice@example.org", "phone": ""}
NOBODY = {"name": "A. P.", "reach": "none", "email": "", "phone": ""}


@pytest.fixture
def visitor(app: Flask, town: Town) -> Visitor:
    return Visitor(app)


def details(visitor: Visitor) -> Page:
    """The form of a hold of the first free time."""
    return visitor.follow(visitor.press(visitor.get(f"{HOME}service/passport").form("/hold")))


def bookings(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(Booking.id))) or 0


def limit_holds(app: Flask, town: Town, per_address: int) -> None:
    with app.app_context():
        db.session.get_one(Municipality, town.municipality_id).holds_per_address = per_address
        db.session.commit()


def test_one_address_books_few_appointments_a_day_that_nobody_can_be_reached_about(app: Flask, town: Town) -> None:
    limit_holds(app, town, 2)
    for _ in range(2):
        visitor = Visitor(app)
        assert visitor.send(details(visitor).forms[-1], **NOBODY).status == 303
    third = Visitor(app)

    refused = third.send(details(third).forms[-1], **NOBODY)

    assert refused.status == 429
    assert "call us" in refused.text
    assert bookings(app) == 2
    assert third.send(refused.forms[-1], **ALICE).status == 303


def test_one_address_does_not_book_the_whole_town_out_with_invented_contacts(app: Flask, town: Town) -> None:
    limit_holds(app, town, 1)
    answers = []
    for n in range(11):
        visitor = Visitor(app)
        answers.append(visitor.send(details(visitor).forms[-1], **{**ALICE, "email": f"a{n}@example.org"}).status)

    assert answers == [303] * 10 + [429]


def test_the_link_to_a_hold_is_not_the_link_to_the_booking_it_became(
    app: Flask, visitor: Visitor, clock: Clock
) -> None:
    form = details(visitor).forms[-1]
    own = visitor.send(form, **ALICE)
    clock.advance(seconds=1)
    other = Visitor(app)
    token = other.get(HOME + "find").forms[-1].values["csrf_token"]

    answer = other.send(form, csrf_token=token)

    assert "/b/" in own.location
    assert answer.status == 303
    assert answer.location.endswith("/find")
    assert "/b/" in visitor.send(form, **ALICE).location


def test_who_moves_to_and_fro_is_asked_to_call_after_the_fifth_time(visitor: Visitor) -> None:
    own = visitor.follow(visitor.send(details(visitor).forms[-1], **ALICE))
    move = next(link for link in own.links if link.endswith("/move"))
    answers = [visitor.press(visitor.get(move).form("/move"), 1) for _ in range(6)]

    assert [answer.status for answer in answers] == [303] * 5 + [429]
    assert "call us" in answers[-1].text


@pytest.mark.parametrize(
    ("number", "status"), [("+32 470 12 34 56", 303), ("+49 1512 3456789", 303), ("+373 600 12345", 422)]
)
def test_texts_go_to_numbers_of_europe_only(visitor: Visitor, number: str, status: int) -> None:
    typed = {**ALICE, "reach": "sms", "email": "", "phone": number}

    assert visitor.send(details(visitor).forms[-1], **typed).status == status
