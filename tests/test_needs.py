"""Access needs: they make an appointment longer or lead to another office; staff see them, and they go first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.models import Appointment, Booking, Hold, Occupancy
from booking.appointments.needs import needs_in, with_needs, words_of
from booking.appointments.offers import Demand, offers
from booking.db import begin_write, db
from booking.privacy.forget import forget_due, forget_needs
from booking.slots.clock import tick_of
from booking.staff.models import Role
from booking.townhall.models import CounterService, Municipality, Office, Service
from tests.conftest import Clock
from tests.factories import PASSWORD, Town, make_counter, make_desk, make_hours, make_office, make_staff
from tests.pages import Page, Visitor

pytestmark = pytest.mark.citizen

HOME = "/testdorp/en/"
ALICE = {"name": "Alice Peeters", "reach": "none", "email": "", "phone": ""}


@pytest.fixture
def visitor(app: Flask, town: Town) -> Visitor:
    return Visitor(app)


def details(visitor: Visitor, button: int = 0) -> Page:
    return visitor.follow(visitor.press(visitor.get(f"{HOME}service/passport").form("/hold"), button))


def one_booking() -> tuple[str | None, int]:
    """The needs of the one booking, and the ticks that it took."""
    booking = db.session.scalars(select(Booking)).one()
    return booking.needs, db.session.scalar(select(func.count()).select_from(Occupancy)) or 0


def test_who_needs_more_time_gets_a_longer_appointment_at_the_same_time(visitor: Visitor, app: Flask) -> None:
    form = details(visitor).forms[-1]

    own = visitor.follow(visitor.send(form, **ALICE, needs="extra_time"))

    assert "25 minutes" in own.text
    assert "We get ready for what you asked for: more time." in own.text
    with app.app_context():
        assert one_booking() == ("extra_time", 5)
        assert (
            db.session.scalars(select(Appointment.starts_at)).one()
            == db.session.scalars(select(Hold.starts_at).limit(1)).one()
        )


def test_what_changes_nothing_but_the_welcome_keeps_the_hold(visitor: Visitor, app: Flask) -> None:
    visitor.send(details(visitor).forms[-1], **ALICE, needs="fetch")

    with app.app_context():
        assert one_booking() == ("fetch", 3)
        assert db.session.scalar(select(func.count()).select_from(Hold)) == 1


def test_a_second_click_with_needs_books_once(visitor: Visitor, app: Flask) -> None:
    form = details(visitor).forms[-1]

    first, second = (visitor.send(form, **ALICE, needs="interpreter") for _ in range(2))

    assert first.location.split("?")[0] == second.location.split("?")[0]
    with app.app_context():
        assert one_booking() == ("interpreter", 5)


def test_a_time_too_short_for_the_needs_leads_to_times_that_fit_and_loses_nothing(
    visitor: Visitor, app: Flask, town: Town
) -> None:
    page = visitor.get(f"{HOME}service/passport")
    late = tick_of(datetime(2026, 11, 23, 10, 45, tzinfo=UTC))  # fifteen minutes before closing
    form = visitor.follow(visitor.send(page.form("/hold"), slot=f"{town.office_id}.{late}")).forms[-1]

    refused = visitor.send(form, **ALICE, needs="extra_time")
    again = visitor.follow(visitor.press(refused.forms[0]))

    assert refused.status == 409
    assert "not long enough" in refused.text
    assert again.forms[-1].values["name"] == "Alice Peeters"
    own = visitor.follow(visitor.send(again.forms[-1], **ALICE, needs="extra_time"))
    assert "25 minutes" in own.text


def test_who_cannot_climb_steps_is_offered_offices_without_any(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        municipality = db.session.get_one(Municipality, town.municipality_id)
        service = db.session.get_one(Service, town.passport_id)
        upstairs = db.session.get_one(Office, town.office_id)
        asked = needs_in("step_free")
        assert with_needs(Demand(service), asked, municipality).needs == frozenset()  # no office says that it has none
        level = make_office(municipality, position=2)
        level.access = ["step_free", "lift"]
        counter = make_counter(make_desk(level))
        make_hours(counter, 1, 9 * 60, 12 * 60)
        db.session.add(CounterService(counter_id=counter.id, service_id=service.id))
        db.session.commit()
        db.session.refresh(municipality)

        demand = with_needs(Demand(service), asked, municipality)
        first = {one.office_id: one.first for one in offers([upstairs, level], demand, clock())}

        assert first[upstairs.id] is None
        assert first[level.id] is not None


def test_staff_see_what_is_needed(visitor: Visitor, app: Flask, town: Town) -> None:
    visitor.send(details(visitor).forms[-1], **ALICE, needs="fetch")
    with app.app_context():
        make_staff(town.municipality_id, "clerk@example.org", Role.CLERK)
        db.session.commit()
    clerk = Visitor(app)
    clerk.sign_in("testdorp", "clerk@example.org", PASSWORD)

    for view in ("", "?view=list"):
        page = clerk.get(f"/testdorp/staff/agenda/{town.desk_id}/2026-11-23{view}")
        assert "ophalen" in page.text


def test_needs_are_erased_when_the_appointment_is_over_and_the_name_later(
    visitor: Visitor, app: Flask, clock: Clock
) -> None:
    visitor.send(details(visitor).forms[-1], **ALICE, needs="fetch")
    with app.app_context():
        begin_write()
        assert forget_needs(clock()) == 0
        clock.advance(days=1)
        assert forget_needs(clock()) == 1
        assert forget_due(clock()) == 0
        db.session.commit()
        booking = db.session.scalars(select(Booking)).one()
        assert (booking.needs, booking.name) == (None, "Alice Peeters")


def test_a_moved_appointment_keeps_its_extra_time(visitor: Visitor, app: Flask) -> None:
    own = visitor.follow(visitor.send(details(visitor).forms[-1], **ALICE, needs="extra_time"))

    moved = visitor.follow(visitor.press(visitor.get(own.link("/move")).form("/move"), 5))

    assert "25 minutes" in moved.text
    with app.app_context():
        one = db.session.scalars(select(Appointment)).one()
        assert one.ends_at - one.starts_at == timedelta(minutes=25)


def test_words_that_nobody_knows_are_no_needs() -> None:
    assert needs_in("fetch elevator") == {"fetch"}
    assert words_of({"loop", "extra_time"}) == "extra_time loop"
    assert words_of(()) is None
