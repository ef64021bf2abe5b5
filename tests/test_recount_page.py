"""The page of the recount: who sees it, and what it says."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.findings import Counted, Finding, Flaw, keep
from booking.db import db
from booking.staff.models import Role, Staff
from booking.worker import run_step
from tests.conftest import MONDAY, Clock
from tests.factories import PASSWORD, Town, make_staff, make_town
from tests.pages import Visitor
from tests.test_recount import TEN, TICK, booked, write

pytestmark = pytest.mark.counter

PAGE = "/testdorp/staff/recount"


@pytest.fixture
def lone(app: Flask) -> Town:
    """A town with a single counter."""
    with app.app_context():
        made = make_town(counters=1)
        db.session.commit()
    return made


@pytest.fixture
def id(app: Flask, lone: Town) -> int:
    return booked(app, lone, TEN)


@pytest.fixture
def people(app: Flask, lone: Town) -> None:
    """Alice is clerk at the desk, Carol at all desks; Bob leads the desk, Dora all of them."""
    with app.app_context():
        make_staff(lone.municipality_id, "alice@testdorp.example.org", Role.CLERK, lone.desk_id)
        make_staff(lone.municipality_id, "carol@testdorp.example.org", Role.CLERK)
        make_staff(lone.municipality_id, "bob@testdorp.example.org", Role.LEAD, lone.desk_id)
        make_staff(lone.municipality_id, "dora@testdorp.example.org", Role.LEAD)
        for staff in db.session.scalars(select(Staff)):
            staff.language = "en"
        db.session.commit()


def signed_in(app: Flask, who: str) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in("testdorp", f"{who}@testdorp.example.org", PASSWORD).status == 303
    return visitor


def test_only_who_leads_the_whole_town_sees_the_recount(app: Flask, lone: Town, people: None) -> None:
    for who in ("alice", "bob", "carol"):
        visitor = signed_in(app, who)
        assert visitor.get(PAGE).status == 404
        assert PAGE not in visitor.get(f"/testdorp/staff/agenda/{lone.desk_id}").links
    assert "/staff/sign-in" in Visitor(app).get(PAGE).location
    assert PAGE in signed_in(app, "dora").get(f"/testdorp/staff/agenda/{lone.desk_id}").links


def test_the_page_says_that_all_is_well_and_when_it_looked(app: Flask, lone: Town, id: int, people: None) -> None:
    visitor = signed_in(app, "dora")
    assert "It has not run yet" in visitor.get(PAGE).text

    run_step(app, "recount")

    page = visitor.get(PAGE)
    assert "Everything adds up" in page.text
    assert "The recount of Monday 23 November, 09:00 found nothing wrong." in page.text
    assert "has not run for more than two days" not in page.text


def test_the_page_shows_each_finding_with_the_day_it_is_on(app: Flask, lone: Town, id: int, people: None) -> None:
    write(app, f"DELETE FROM occupancy WHERE tick = {TICK}", "DELETE FROM message WHERE kind = 'confirmation'")
    run_step(app, "recount")

    page = signed_in(app, "dora").get(PAGE)

    assert "2 things do not add up" in page.text
    assert Flaw.MISSING_TICKS.sentence in page.text and Flaw.NO_CONFIRMATION.sentence in page.text
    assert f"Appointment {id}" in page.text and "Civil registry, Counter 1" in page.text
    assert page.link(f"/testdorp/staff/agenda/{lone.desk_id}/2026-11-24")


def test_a_recount_that_no_longer_runs_is_told(app: Flask, lone: Town, people: None, clock: Clock) -> None:
    run_step(app, "recount")
    clock.advance(days=2, minutes=1)

    page = signed_in(app, "dora").get(PAGE)

    assert "has not run for more than two days" in page.text
    assert "Everything adds up" not in page.text


def test_what_another_town_found_is_not_shown(app: Flask, lone: Town, people: None) -> None:
    with app.app_context():
        other = make_town("elders")
        keep(other.municipality_id, Counted(1, 3, [Finding(Flaw.EMPTY_BOOKING, {"booking": [9]})]), MONDAY)
        db.session.commit()

    assert "It has not run yet" in signed_in(app, "dora").get(PAGE).text
