"""The proof of work that a municipality may ask for: with it one books as ever, without it a little all the same."""

from __future__ import annotations

import base64
import html
import json
import re

import pytest
from altcha import Challenge, Payload, solve_challenge
from flask import Flask

from booking.db import db
from booking.townhall.models import Municipality
from booking.townhall.revisions import raise_town
from booking.web.citizen import proof
from tests.conftest import MONDAY, Clock
from tests.factories import PASSWORD, Town
from tests.pages import Page, Visitor

pytestmark = pytest.mark.races

PASSPORT = "/testdorp/en/service/passport"
PERSON = {"name": "Ann", "reach": "email", "phone": ""}


@pytest.fixture
def asking(app: Flask, town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """The municipality asks for a proof, an easy one; without it one address books once a day."""
    monkeypatch.setattr(proof, "COST", 10)
    with app.app_context():
        row = db.session.get_one(Municipality, town.municipality_id)
        raise_town(row, MONDAY)
        row.asks_proof, row.holds_per_address = True, 10
        db.session.commit()
    return town


def details(app: Flask, number: int = 0) -> tuple[Visitor, Page]:
    """A browser of its own that keeps a time, and its form."""
    visitor = Visitor(app)
    return visitor, visitor.follow(visitor.press(visitor.get(PASSPORT).form("/hold"), number))


def solution(page: Page) -> str:
    """What the browser would send for the page's challenge."""
    words = re.search(r'data-challenge="([^"]+)"', page.response.get_data(as_text=True))
    assert words
    challenge = Challenge.from_dict(json.loads(html.unescape(words[1])))
    solved = solve_challenge(challenge)
    assert solved
    return Payload(challenge, solved).to_base64()


def booked(visitor: Visitor, page: Page, answer: str, who: str = "ann") -> int:
    form = next(form for form in page.forms if "name" in form.values)
    return visitor.send(form, **PERSON, email=f"{who}@example.org", altcha=answer).status


def used_up(app: Flask) -> None:
    """The one appointment a day without a proof is booked."""
    visitor, page = details(app, 60)
    assert booked(visitor, page, "", "early") == 303


def test_nobody_is_asked_for_anything_by_default(app: Flask, town: Town) -> None:
    visitor, page = details(app)

    assert "data-challenge" not in page.response.get_data(as_text=True)
    assert "proof.js" not in page.response.get_data(as_text=True)
    assert booked(visitor, page, "") == 303


def test_who_has_the_proof_books_also_where_many_without_have_booked(app: Flask, asking: Town) -> None:
    used_up(app)
    for number in (0, 10, 20):
        visitor, page = details(app, number)
        assert booked(visitor, page, solution(page), f"ann{number}") == 303


def test_without_the_proof_an_address_books_little_and_is_told_what_to_do(
    app: Flask, asking: Town, clock: Clock
) -> None:
    used_up(app)
    visitor, page = details(app)
    assert "Without scripts only a few appointments a day" in page.text  # between noscript

    form = next(form for form in page.forms if "name" in form.values)
    refused = visitor.send(form, **PERSON, email="ann@example.org")

    assert refused.status == 429
    assert "Switch on scripts in your browser and try again, or call us." in refused.text
    assert refused.forms[-1].values["name"] == "Ann"
    assert booked(visitor, refused, solution(refused)) == 303  # with scripts switched on
    clock.advance(days=1)
    later, form_later = details(app)
    assert booked(later, form_later, "", "later") == 303


def test_a_solution_is_worth_one_booking(app: Flask, asking: Town) -> None:
    used_up(app)
    first, page = details(app)
    answer = solution(page)
    assert booked(first, page, answer) == 303
    assert booked(first, page, answer) == 303  # the second click finds the same booking

    second, other = details(app, 10)
    assert booked(second, other, answer, "bob") == 429


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["solution"].update(counter=one["solution"]["counter"] + 1, derivedKey="00" * 32),
        lambda one: one["challenge"]["parameters"].update(cost=1),
        lambda one: one["challenge"]["parameters"].update(keyPrefix=""),
        lambda one: one["challenge"]["parameters"]["data"].update(until=2**40),
        lambda one: one["challenge"].update(signature="00" * 32),
        lambda one: one["challenge"].pop("signature"),
        lambda one: one.pop("solution"),
    ],
    ids=["wrong-counter", "easier", "no-prefix", "longer", "signed-by-others", "unsigned", "unsolved"],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_wrong_or_changed_solution_is_none(app: Flask, asking: Town, change: object) -> None:
    used_up(app)
    visitor, page = details(app)
    payload = json.loads(base64.b64decode(solution(page)))
    change(payload)  # type: ignore[operator]

    assert booked(visitor, page, base64.b64encode(json.dumps(payload).encode()).decode()) == 429


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("nonsense", ["x", "5" * 5000, base64.b64encode(b"[" * 2900).decode(), "bnVsbA=="])
def test_nonsense_is_no_solution_and_breaks_nothing(app: Flask, asking: Town, nonsense: str) -> None:
    used_up(app)
    visitor, page = details(app)

    assert booked(visitor, page, nonsense) == 429


def test_a_solution_ends_with_the_time_that_it_is_for(app: Flask, asking: Town, clock: Clock) -> None:
    visitor, page = details(app, 90)
    answer = solution(page)
    clock.advance(hours=2)
    used_up(app)

    assert booked(visitor, page, answer) == 429


@pytest.mark.usefixtures("management")
def test_an_administrator_switches_it_on(app: Flask, town: Town) -> None:
    ann = Visitor(app)
    ann.sign_in("testdorp", "ann@testdorp.example.org", PASSWORD)
    form = ann.get("/testdorp/staff/admin/town").forms[-1]
    assert "asks_proof" not in form.values

    assert ann.post("/testdorp/staff/admin/town", {**form.values, "asks_proof": "y"}).status == 303

    with app.app_context():
        assert db.session.get_one(Municipality, town.municipality_id).asks_proof is True
