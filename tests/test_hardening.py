"""What somebody with bad intentions or bad luck sends, and what becomes of it."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.models import Appointment, Booking
from booking.db import db
from booking.links import masked, token
from booking.staff.accounts import Limit, Throttled, address_of, check_tries, record_try
from tests.conftest import KEYS, Clock
from tests.factories import Town
from tests.pages import Visitor
from tests.test_citizen_pages import ALICE, HOME, booked, details

pytestmark = pytest.mark.citizen


@pytest.fixture
def visitor(app: Flask, town: Town) -> Visitor:
    return Visitor(app)


def test_another_spelling_of_a_reference_is_the_same_try(visitor: Visitor, app: Flask) -> None:
    booked(visitor)
    with app.app_context():
        reference = db.session.scalars(select(Booking.reference)).one() or ""
    form = visitor.get(f"{HOME}find").form("/find")

    spelled = [reference, reference.lower(), f"{reference[:2]}-{reference[2:]}", f" {reference}", "-".join(reference)]
    tries = [visitor.send(form, reference=one, code="x").status for one in [*spelled, f"{reference}-"]]

    assert tries == [422] * 5 + [429]


def test_a_reference_has_twenty_tries_a_week(visitor: Visitor, app: Flask, clock: Clock) -> None:
    form = visitor.get(f"{HOME}find").form("/find")
    for _ in range(4):
        assert [visitor.send(form, reference="K74P9XA", code="1").status for _ in range(5)] == [422] * 5
        clock.advance(minutes=16)

    assert visitor.send(form, reference="K74P9XA", code="1").status == 429
    clock.advance(days=7)
    assert visitor.send(form, reference="K74P9XA", code="1").status == 422


def test_tries_at_once_are_counted_before_they_are_looked_at(context: Flask, town: Town, clock: Clock) -> None:
    limit = [Limit("somebody", 5)]

    for _ in range(16):
        record_try(limit, clock())

    with pytest.raises(Throttled):
        check_tries(limit, clock())


def test_a_household_is_one_address() -> None:
    assert address_of("203.0.113.5") == "203.0.113.5"
    assert address_of("2001:db8:1:2:3::4") == address_of("2001:db8:1:2:ffff::1") != address_of("2001:db8:1:3::1")
    assert address_of(None) == address_of("nonsense") == ""


def test_a_hold_cannot_be_extended_for_ever(visitor: Visitor, clock: Clock) -> None:
    form = details(visitor, 40).forms[-1]
    answers = []
    for _ in range(10):
        clock.advance(minutes=15)
        answers.append(visitor.post(f"{form.action}/extend", form.values).status)

    assert answers == [303] * 7 + [409] * 3


def test_nobody_books_a_time_that_has_begun(visitor: Visitor, app: Flask, clock: Clock) -> None:
    form = details(visitor).forms[-1]  # 11:00 in Brussels
    for _ in range(7):
        clock.advance(minutes=17)
        visitor.post(f"{form.action}/extend", form.values)
    clock.advance(minutes=2)

    assert visitor.send(form, **ALICE).status == 409
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Appointment)) == 0


@pytest.mark.parametrize("path", ["a%00b/nl/", "testdorp/en/service/a%00b", "testdorp/en/services?q=%00"])
def test_a_nul_in_the_address_is_refused(visitor: Visitor, path: str) -> None:
    assert visitor.get(f"/{path}").status == 400


def test_a_nul_in_a_form_is_refused(visitor: Visitor) -> None:
    form = details(visitor).forms[-1]

    assert visitor.send(form, **{**ALICE, "name": "A\0B"}).status == 400


@pytest.mark.parametrize("number", ["+32 900 12 345", "+881 6 1234 5678", "+32 16 12 34 56", "112"])
def test_texts_go_to_mobile_numbers_only(visitor: Visitor, number: str) -> None:
    form = details(visitor).forms[-1]

    assert visitor.send(form, name="Alice", reach="sms", email="", phone=number).status == 422


def test_an_address_with_letters_of_its_own_is_stored_as_mail_servers_know_it(visitor: Visitor, app: Flask) -> None:
    booked(visitor, email="x@bücher.example.de")

    with app.app_context():
        assert db.session.scalars(select(Booking.email)).one() == "x@xn--bcher-kva.example.de"


@pytest.mark.parametrize("name", ["\u200b", "\u202e", "\x1b[31m"[:1]])
def test_a_name_that_nobody_can_see_is_none(visitor: Visitor, name: str) -> None:
    form = details(visitor).forms[-1]

    assert visitor.send(form, **{**ALICE, "name": name}).status == 422


def test_a_name_cannot_turn_the_line_around(visitor: Visitor, app: Flask) -> None:
    booked(visitor, name="\u202eAlice\x07  Peeters\n")

    with app.app_context():
        assert db.session.scalars(select(Booking.name)).one() == "Alice Peeters"


def test_the_link_of_a_hold_is_not_the_link_of_the_booking(visitor: Visitor, app: Flask) -> None:
    form = details(visitor).forms[-1]
    own = visitor.send(form, **ALICE).location

    assert visitor.get(form.action).location == own.split("?")[0]
    assert Visitor(app).get(form.action).location == f"{HOME}find"


def test_addresses_for_keeping_do_not_follow_the_host_of_a_request(visitor: Visitor) -> None:
    own = booked(visitor)

    answer = visitor.get(own.link("appointment.ics"), Host="evil.example")

    assert b"evil.example" not in answer.response.data
    assert b"http://localhost:8000/testdorp/en/find" in answer.response.data.replace(b"\r\n ", b"")


def test_logs_hold_no_links() -> None:
    link = token(KEYS, "booking", 17, 1)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "Exception on %s [%s]", (f"/nl/b/{link}", "GET"), None)

    assert masked(record)
    assert record.getMessage() == "Exception on /nl/b/(a secret link) [GET]"
