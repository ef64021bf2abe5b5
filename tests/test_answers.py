"""What answers to the questions before a visit change, from the page of times to the message and the clerk's screen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.models import Booking, Hold
from booking.db import db
from booking.delivery.files import letters
from booking.privacy.forget import forget_needs
from booking.slots.clock import tick_of
from booking.worker import run_step
from tests.conftest import Clock
from tests.factories import PASSWORD, Town, make_staff
from tests.pages import Page, Visitor
from tests.test_questions import BASE, ask_questions

pytestmark = pytest.mark.citizen

ALICE = {"name": "Alice Peeters", "reach": "email", "email": "alice@example.org", "phone": ""}
LAST = datetime(2026, 11, 23, 10, 45, tzinfo=UTC)  # a quarter before the counters close for lunch


@pytest.fixture
def visitor(app: Flask, town: Town) -> Visitor:
    ask_questions(app, town)
    return Visitor(app)


def times_after(visitor: Visitor, *answers: int) -> Page:
    """The page of times that the answers lead to."""
    given = "".join(f"&a={one}" for one in answers)
    return visitor.follow(visitor.get(f"{BASE}/questions?step={len(answers)}{given}"))


def ticks(page: Page) -> set[int]:
    return {int(value.split(".")[1]) for _name, value in page.form("/hold").buttons}


def details(visitor: Visitor) -> Page:
    """The form for a time that was chosen after the answers "No" and "My partner too"."""
    return visitor.follow(visitor.press(times_after(visitor, 1, 1).form("/hold")))


def test_answers_make_it_longer_and_so_offer_other_times(visitor: Visitor, app: Flask) -> None:
    alone, both = times_after(visitor, 1, 0), times_after(visitor, 1, 1)

    assert "15 minutes" in alone.text
    assert "25 minutes" in both.text
    assert tick_of(LAST) in ticks(alone)
    assert tick_of(LAST) not in ticks(both)  # it would last into the lunch hour
    assert ticks(both) < ticks(alone)
    own = visitor.follow(visitor.send(details(visitor).forms[-1], **ALICE))
    assert "25 minutes" in own.text


def test_answers_that_lead_to_another_service_offer_the_times_of_that(visitor: Visitor) -> None:
    found = visitor.follow(visitor.get(f"{BASE}/questions?step=1&a=0"))

    assert "Wedding (en)" in found.text
    assert "60 minutes" in found.text
    assert found.form("/hold").values["service"] == "wedding"


def test_papers_that_answers_ask_for_are_named_wherever_papers_are(
    visitor: Visitor,
    app: Flask,
    town: Town,
) -> None:
    own = visitor.follow(visitor.send(details(visitor).forms[-1], **ALICE))
    run_step(app, "e-mail")
    with app.app_context():
        make_staff(town.municipality_id, "bob@testdorp.example.org", desk_id=town.desk_id).language = "en"
        db.session.commit()
    bob = Visitor(app)
    bob.sign_in("testdorp", "bob@testdorp.example.org", PASSWORD)
    agenda = bob.get(f"/testdorp/staff/agenda/{town.desk_id}/2026-11-23")
    panel = bob.get(next(link for link in agenda.links if "open=" in link or "visit" in link))

    letter = next(iter(letters(app.extensions["balie"]["settings"].instance, "testdorp")))
    entry = visitor.get(own.link("appointment.ics")).response.get_data(as_text=True)
    for seen in (own.text, str(letter), entry, panel.text):
        assert "both cards" in seen
        assert "identity card" in seen


def test_answers_that_ask_for_nothing_are_not_kept(visitor: Visitor, app: Flask) -> None:
    page = visitor.follow(visitor.press(times_after(visitor, 1, 0).form("/hold")))
    visitor.send(page.forms[-1], **ALICE)

    with app.app_context():
        assert db.session.scalars(select(Booking.answers)).all() == [None]
        assert db.session.scalars(select(Hold.answers)).all() == [None]


def test_answers_are_erased_when_the_appointment_is_over(visitor: Visitor, app: Flask, clock: Clock) -> None:
    visitor.send(details(visitor).forms[-1], **ALICE)
    with app.app_context():
        assert db.session.scalars(select(Booking.answers)).all() == ["1 1"]
        assert forget_needs(clock()) == 0
        clock.advance(days=1)
        assert forget_needs(clock()) == 1
        assert db.session.scalars(select(Booking.answers)).all() == [None]


def test_answers_are_kept_while_another_time_is_chosen(visitor: Visitor, app: Flask, clock: Clock) -> None:
    page = details(visitor)
    assert any("a=1&a=1" in link for link in page.links)  # choose another time
    clock.advance(hours=3)
    gone = visitor.send(page.forms[-1], **ALICE)
    assert gone.status == 409

    visitor.send(visitor.follow(visitor.press(gone.forms[0])).forms[-1], **ALICE)

    with app.app_context():
        assert db.session.scalars(select(Booking.answers)).all() == ["1 1"]


@pytest.mark.parametrize("answers", ["a=9", "a=x&a=1", "a=1&a=1&" + "&".join(["a=7"] * 40)])
def test_strange_answers_change_nothing(visitor: Visitor, app: Flask, answers: str) -> None:
    page = visitor.get(f"{BASE}?{answers}")

    assert visitor.press(page.form("/hold")).status == 303
