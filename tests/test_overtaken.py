"""Somebody books or cancels between the look at a file and its import: nothing is done, and the page says so."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.booking import cancel
from booking.appointments.models import Appointment
from booking.db import begin_write, db
from booking.exchange.imports import Import
from booking.planning.models import Adjustment
from booking.staff.audit import citizen_of
from booking.townhall.models import OpeningHours
from tests.conftest import MONDAY
from tests.factories import Town
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN
from tests.test_admin_exchange import answer, exported, send
from tests.test_planning import FRIDAY
from tests.test_staff_pages import appointment, signed_in

pytestmark = pytest.mark.townhall

NOTHING = "Nothing was done: meanwhile somebody booked, moved or cancelled"


@pytest.fixture
def friday(app: Flask, town: Town, management: None) -> int:
    """An appointment on Friday."""
    return appointment(app, town, start=FRIDAY)


def looked_at(app: Flask, town: Town) -> tuple[Visitor, Page]:
    """Ann has sent hours without Fridays, and sees whom they hit."""
    hours = exported(app, town)["hours.csv"].splitlines(keepends=True)
    ann = signed_in(app, "ann")
    return ann, send(ann, "".join(line for line in hours if ",5,09:00" not in line).encode())


def decide(ann: Visitor, page: Page, **typed: str) -> Page:
    return ann.post(f"{ADMIN}/exchange/import", {**answer(page).values, "all": "each", **typed})


def assert_nothing_was_done(app: Flask) -> None:
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Adjustment)) == 0
        assert not db.session.scalar(select(func.count()).where(OpeningHours.until_on.is_not(None)))


def test_who_booked_meanwhile_is_new_on_the_list_and_what_was_chosen_stays(app: Flask, town: Town, friday: int) -> None:
    ann, page = looked_at(app, town)
    other = appointment(app, town, start=FRIDAY, name="Just Now")

    meanwhile = decide(ann, page, **{f"choice-{friday}": "cancel"})

    assert meanwhile.status == 409 and NOTHING in meanwhile.text
    assert "1 appointment is new on the list below." in meanwhile.text and "Just Now" in meanwhile.text
    assert "All of it is imported." not in meanwhile.text and "What the file would change" in meanwhile.text
    assert_nothing_was_done(app)
    chosen = answer(meanwhile).values
    assert (chosen[f"choice-{friday}"], chosen[f"choice-{other}"]) == ("cancel", "move")
    assert "All of it is imported." in decide(ann, meanwhile).text


def test_who_cancelled_meanwhile_is_gone_from_it(app: Flask, town: Town, friday: int) -> None:
    ann, page = looked_at(app, town)
    with app.app_context():
        begin_write()
        cancel(db.session.get_one(Appointment, friday), citizen_of(town.municipality_id), MONDAY)
        db.session.commit()

    meanwhile = decide(ann, page)

    assert meanwhile.status == 409 and "1 appointment is not hit any more." in meanwhile.text
    assert_nothing_was_done(app)
    assert "All of it is imported." in ann.send(answer(meanwhile)).text


def test_a_time_that_was_proposed_and_given_away_is_another_one(app: Flask, town: Town, friday: int) -> None:
    ann, page = looked_at(app, town)
    sunday = str(int(MONDAY.timestamp()) // 300 - 288)  # stands for any time that nobody can have

    meanwhile = decide(ann, page, **{f"start-{friday}": sunday, f"choice-{friday}": "move"})

    assert meanwhile.status == 409 and "A time that was proposed has been given to somebody else." in meanwhile.text
    assert answer(meanwhile).values[f"start-{friday}"] == answer(page).values[f"start-{friday}"]
    assert_nothing_was_done(app)


def test_who_is_even_faster_than_the_first_byte_is_seen_all_the_same(
    app: Flask, town: Town, friday: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the answer has begun it can only say so in words."""
    ann, page = looked_at(app, town)
    monkeypatch.setattr(Import, "rehearse", lambda *_given: None)
    appointment(app, town, start=FRIDAY, name="Just Now")

    meanwhile = decide(ann, page)

    assert meanwhile.status == 200 and NOTHING in meanwhile.text and "Just Now" in meanwhile.text
    assert_nothing_was_done(app)
