"""What others had to mend at their counters, with the tests that show that it does not happen here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from booking.appointments.absence import still_to_come
from booking.appointments.agenda import agenda
from booking.appointments.holds import hold
from booking.appointments.models import Booking, Visit, VisitState
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, offers
from booking.appointments.queue import line_of, next_for
from booking.appointments.recount import recount
from booking.appointments.visits import take_step
from booking.db import begin_write, db
from booking.townhall.models import Closure, Counter, Desk, Office, OpeningHours, Service
from tests.conftest import MONDAY, Clock
from tests.factories import Town, make_hours
from tests.pages import Visitor
from tests.test_devices import codes, kiosk, show
from tests.test_staff_pages import appointment
from tests.test_visits import NINE, TEN, desk, press, subject

__all__ = ["desk", "kiosk"]
pytestmark = pytest.mark.counter

HERE = "test_known_bugs"
BUGS = {  # what happened to others, and where it is tested here
    "two clerks call the same person": ["test_visits.test_two_clerks_who_call_at_once_call_two_people"],
    "a double click books twice and overbooks": [
        "test_races.test_a_double_click_books_once",
        "test_staff_booking.test_a_form_sent_twice_books_once",
    ],
    "bookings that are not confirmed appear in the queue": [
        f"{HERE}.test_who_has_not_come_is_not_in_the_queue",
        f"{HERE}.test_a_time_that_is_only_held_is_neither_in_the_queue_nor_an_appointment",
    ],
    "missed and parked people are called again": [
        "test_visits.test_who_was_parked_or_missed_is_not_called_by_accident",
        f"{HERE}.test_a_busy_counter_is_not_free_because_its_visit_is_sent_on_and_comes_back",
    ],
    "exceptions and series overbook": [f"{HERE}.test_an_exception_beside_a_series_sells_no_time_twice"],
    "durations are lost when opening hours are deleted": [
        f"{HERE}.test_an_appointment_keeps_its_length_when_the_opening_hours_are_deleted"
    ],
    "calls from the future": ["test_visits.test_nobody_is_called_from_the_future"],
    "a holiday on the first free day leaves no times": [
        f"{HERE}.test_a_holiday_on_the_first_free_day_leaves_the_days_after_it"
    ],
    "two users pick the same time": [
        "test_races.test_of_thirty_citizens_one_gets_the_last_place",
        "test_staff_booking.test_two_clerks_who_choose_the_same_time",
    ],
    "the day fills up while one chooses": [
        "test_citizen_pages.test_a_time_that_was_taken_is_a_kind_409_with_the_nearest_times"
    ],
    "an expired puzzle asks again and again": [f"{HERE}.test_a_form_that_expired_is_filled_in_once_more_and_works"],
    "a spinner that turns for ever": [
        "browser.test_keys.test_an_agenda_that_gets_no_answer_says_so",
        "browser.test_day.cut_the_network",
    ],
    "the kiosk is counted wrongly": [
        f"{HERE}.test_checking_in_at_the_kiosk_counts_nobody_twice_and_nobody_as_a_walk_in"
    ],
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_bug_of_others_is_tested(bug: str) -> None:
    for name in BUGS[bug]:
        module, _dot, function = name.rpartition(".")
        path = Path(__file__).parent / f"{module.replace('.', '/')}.py"
        assert f"def {function}(" in path.read_text(), name


def test_who_has_not_come_is_not_in_the_queue(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        place = db.session.get_one(Desk, desk.desk_id)
        assert line_of(place, TEN).places == ()
        assert all(next_for(counter, TEN) is None for counter in place.counters)

        take_step("arrive", subject(id, desk), press(at=NINE))
        assert len(line_of(place, TEN).places) == 1


def test_an_appointment_keeps_its_length_when_the_opening_hours_are_deleted(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        db.session.execute(delete(OpeningHours))
        db.session.commit()

        shown = agenda(db.session.get_one(Desk, desk.desk_id), NINE.date(), NINE)

        (block,) = [block for column in shown.columns for block in column.blocks if block.appointment]
        assert (block.appointment and block.appointment.id, block.rows) == (id, 5)  # 25 minutes for two people


def test_a_holiday_on_the_first_free_day_leaves_the_days_after_it(app: Flask, desk: Town) -> None:
    with app.app_context():
        starts = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
        db.session.add(
            Closure(office_id=desk.office_id, starts_at=starts, ends_at=starts + timedelta(days=1), reasons={})
        )
        db.session.commit()
        office, service = db.session.get_one(Office, desk.office_id), db.session.get_one(Service, desk.passport_id)

        (offered,) = offers([office], Demand(service), MONDAY)

        assert offered.first == datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def test_checking_in_at_the_kiosk_counts_nobody_twice_and_nobody_as_a_walk_in(
    app: Flask, desk: Town, kiosk: Visitor
) -> None:
    id = appointment(app, desk)
    for _ in range(2):
        show(kiosk, codes(app, id)["digits"])
    with app.app_context():
        assert db.session.scalars(select(Booking.channel)).all() == ["web"]
        assert db.session.scalar(select(func.count()).select_from(Visit).where(Visit.appointment_id.is_(None))) == 0
        counted = dict(agenda(db.session.get_one(Desk, desk.desk_id), NINE.date(), NINE).states)
        assert counted[VisitState.ARRIVED] == 1 and sum(counted.values()) == 1


def test_a_busy_counter_is_not_free_because_its_visit_is_sent_on_and_comes_back(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        counter = db.session.get_one(Counter, desk.counter_ids[0])
        take_step("call", subject(id, desk), press(counter=counter.id))
        visit = take_step("queue", subject(id, desk), press())

        assert visit.counter_id is None and next_for(counter, TEN) is visit


def test_a_time_that_is_only_held_is_neither_in_the_queue_nor_an_appointment(app: Flask, desk: Town) -> None:
    with app.app_context():
        begin_write()
        office, service = db.session.get_one(Office, desk.office_id), db.session.get_one(Service, desk.passport_id)
        hold(office, Demand(service), TEN, NINE - timedelta(days=3))
        db.session.commit()
        place = db.session.get_one(Desk, desk.desk_id)

        assert line_of(place, TEN).visits == () and all(next_for(one, TEN) is None for one in place.counters)
        assert agenda(place, NINE.date(), NINE - timedelta(days=3)).count == 0
        assert still_to_come(place.counters[0], NINE) == []


def test_an_exception_beside_a_series_sells_no_time_twice(app: Flask, desk: Town) -> None:
    """A second rule for the same morning opens nothing that is not open: each counter is sold once."""
    with app.app_context():
        begin_write()
        for counter_id in desk.counter_ids:
            make_hours(db.session.get_one(Counter, counter_id), 0, 9 * 60, 11 * 60)
        db.session.commit()
    for name in ("Zoë Janssens", "Piet Claes"):
        appointment(app, desk, name)
    with pytest.raises(SlotTaken):
        appointment(app, desk, "Lien Maes")
    with app.app_context():
        assert recount(desk.municipality_id, MONDAY).findings == []


def test_a_form_that_expired_is_filled_in_once_more_and_works(app: Flask, town: Town, clock: Clock) -> None:
    """Nobody is asked a puzzle; who comes back too late chooses once more, and is not sent in a circle."""
    visitor = Visitor(app)
    page = visitor.follow(visitor.press(visitor.get("/testdorp/en/service/passport").form("/hold")))
    clock.advance(hours=3)
    form = page.forms[-1]
    visitor.post(form.action, {**form.values, "name": "Zoë", "reach": "none"})

    page = visitor.follow(visitor.press(visitor.get("/testdorp/en/service/passport").form("/hold")))
    done = visitor.send(page.forms[-1], name="Zoë", reach="none", email="", phone="")

    assert done.status == 303 and "Your appointment" in visitor.follow(done).text
