"""Visits of several desks, all or nothing, on both databases: held, booked, moved and cancelled together or apart."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from booking.appointments.booking import Citizen, TooLate, cancel
from booking.appointments.holds import extend, hold, visit_of
from booking.appointments.limits import Holder
from booking.appointments.models import Appointment, Booking, Channel, Hold, Occupancy
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand
from booking.appointments.plans import Errands
from booking.appointments.recount import recount
from booking.appointments.timelines import office_lines
from booking.appointments.together import book_visit, cancel_visit, errands_of, hold_visit, move_visit
from booking.db import begin_write, db
from booking.staff.audit import citizen_of, member
from booking.townhall.models import Closure, Office, Way
from booking.townhall.standing import Standing, standing
from tests.conftest import Clock
from tests.factories import (
    WEEKDAYS,
    make_counter,
    make_desk,
    make_hours,
    make_municipality,
    make_office,
    make_service,
    make_staff,
)

pytestmark = pytest.mark.citizen

TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
ALICE = Citizen("Alice Peeters", "nl", email="alice@example.org")
SLUG = "drieloket"
MINUTE = timedelta(minutes=1)


def make_visit_town() -> None:
    """Registry and building at the town hall, economy next door; weekdays nine to twelve, two counters a desk."""
    town = make_municipality(SLUG)
    town.longest_wait_minutes = 30
    hall, annex = make_office(town), make_office(town, position=2)
    db.session.add(Way(one_id=hall.id, other_id=annex.id, minutes=10))
    minutes = {"civil": 15, "building": 30, "economy": 20}
    for office, key in ((hall, "civil"), (hall, "building"), (annex, "economy")):
        desk = make_desk(office, key, step_minutes=5, buffer_minutes=5 if key == "building" else 0)
        counters = [make_counter(desk, number) for number in (1, 2)]
        for counter in counters:
            for weekday in WEEKDAYS:
                make_hours(counter, weekday, 9 * 60, 12 * 60)
        after = {"civil": [], "building": ["civil"], "economy": ["civil", "building"]}[key]
        changes = {"desk_key": key, "minutes": minutes[key], "comes_after": after, "extra_person_minutes": 5}
        make_service(town, f"{key}-service", counters, max_people=4, max_days_ahead=3, **changes)
    db.session.commit()


@pytest.fixture
def here(context: Flask) -> Standing:
    make_visit_town()
    return read_again()


def read_again() -> Standing:
    """A new writing transaction, as every POST begins, and the town as it stands."""
    db.session.rollback()
    begin_write()
    found = standing(SLUG)
    assert found
    return found[0]


def errands(here: Standing, now: datetime) -> Errands:
    lines = {id: office_lines(office, now) for id, office in here.offices.items()}
    demands = tuple(Demand(service) for service in reversed(here.services))  # in whatever order they are asked for
    return Errands(demands, here, lines, now)


def held(clock: Clock, start: datetime = TEN, holder: Holder | None = None) -> Hold:
    here = read_again()
    made = hold_visit(errands(here, clock()), hall(here), start, holder or Holder())
    db.session.commit()
    return made


def booked(clock: Clock, start: datetime = TEN, citizen: Citizen = ALICE) -> Booking:
    kept = held(clock, start)
    here = read_again()
    made = book_visit(kept, citizen, Channel.WEB, citizen_of(here.municipality.id), clock())
    db.session.commit()
    return made


def hall(here: Standing) -> int:
    return min(here.offices)


def keys(appointments: Sequence[Appointment]) -> list[str]:
    return [one.items[0].service.key for one in sorted(appointments, key=lambda one: one.starts_at)]


def ticks() -> int:
    return db.session.scalar(select(func.count()).select_from(Occupancy)) or 0


def move_to(booking: Booking, start: datetime, clock: Clock) -> None:
    here = read_again()
    lines = {id: office_lines(office, clock()) for id, office in here.offices.items()}
    asked = errands_of(booking.appointments, here, lines, clock())
    move_visit(asked, booking.appointments, hall(here), start, citizen_of(here.municipality.id))
    db.session.commit()


def test_one_reference_holds_an_appointment_at_each_desk_in_the_order_of_the_services(
    here: Standing, clock: Clock
) -> None:
    made = booked(clock)

    assert keys(made.appointments) == ["civil-service", "building-service", "economy-service"]
    first, second, third = made.appointments
    assert first.starts_at == TEN
    assert second.starts_at == first.ends_at + 5 * MINUTE  # the way between two desks
    assert third.starts_at == second.ends_at + 10 * MINUTE  # the way between two offices
    assert len({one.uid for one in made.appointments}) == 3
    assert db.session.scalar(select(func.count()).select_from(Booking)) == 1
    assert ticks() == 3 + 6 + 1 + 4  # with the buffer of the building desk
    assert not recount_of(here, clock)


def recount_of(here: Standing, clock: Clock) -> list[object]:
    db.session.rollback()
    return list(recount(here.municipality.id, clock()).findings)


def test_what_is_offered_is_exactly_what_can_be_held(here: Standing, clock: Clock) -> None:
    chance = random.Random(6)
    hours = [TEN + timedelta(days=day, minutes=5 * n) for day in (0, 1) for n in range(-12, 24)]
    for _ in range(12):
        asked = errands(read_again(), clock())
        offered = {start.astimezone(UTC) for one in asked.offers() for start in one.starts} & set(hours)
        for start in chance.sample(hours, 12):
            asked = errands(read_again(), clock())
            try:
                hold_visit(asked, hall(asked.standing), start)
                assert start in offered
            except SlotTaken:
                assert start not in offered
        if offered:
            booked(clock, chance.choice(sorted(offered)))
    assert not offered or len(offered) < 30


def test_all_or_nothing_when_one_desk_was_taken_meanwhile(here: Standing, clock: Clock) -> None:
    asked = errands(read_again(), clock())  # as the page had it
    closed_at = TEN - 60 * MINUTE
    db.session.add(Closure(office_id=max(here.offices), starts_at=closed_at, ends_at=TEN.replace(hour=11), reasons={}))
    db.session.commit()

    begin_write()
    with pytest.raises(SlotTaken):
        hold_visit(asked, hall(here), TEN)
    db.session.rollback()

    assert ticks() == 0
    assert db.session.scalar(select(func.count()).select_from(Hold)) == 0


def test_a_visit_counts_as_one_hold_and_a_second_click_finds_it(here: Standing, clock: Clock) -> None:
    browser = Holder("browser", None)
    first = held(clock, holder=browser)

    again = held(clock, holder=browser)

    assert again.id == first.id
    assert ticks() == 14
    held(clock, TEN + 30 * MINUTE, Holder("browser", None))
    held(clock, TEN + timedelta(days=1), Holder("browser", None))  # three may be held, of whatever length


def test_another_choice_gives_all_desks_of_the_first_one_back(here: Standing, clock: Clock) -> None:
    first = held(clock)

    second = held(clock, TEN + 15 * MINUTE, Holder(gives_back=db.session.get_one(Hold, first.id)))
    assert ticks() == 14
    assert second.starts_at == TEN + 15 * MINUTE
    begin_write_again()
    passport = Demand(here.services[0])
    hold(db.session.get_one(Office, hall(here)), passport, TEN, clock(), Holder(gives_back=second))
    db.session.commit()

    assert ticks() == 3


def begin_write_again() -> None:
    db.session.rollback()
    begin_write()


def test_more_time_is_given_to_all_desks(here: Standing, clock: Clock) -> None:
    kept = held(clock)
    clock.advance(minutes=15)

    begin_write_again()
    extend(kept, clock())
    db.session.commit()

    assert {one.expires_at for one in visit_of(kept)} == {clock() + 20 * MINUTE}
    ends = db.session.scalars(select(Occupancy.expires_at)).all()
    assert set(ends) == {clock() + 20 * MINUTE}


def test_a_visit_whose_hold_ended_is_taken_again_if_all_of_it_is_free(here: Standing, clock: Clock) -> None:
    kept, other = held(clock), held(clock, TEN + 30 * MINUTE)
    clock.advance(minutes=21)
    for _ in range(2):  # others take both counters of the last desk
        asked = errands(read_again(), clock())
        annex = db.session.get_one(Office, max(here.offices))
        hold(annex, Demand(asked.standing.services[-1]), visit_of(other)[-1].starts_at, clock())
        db.session.commit()

    town = read_again().municipality
    made = book_visit(kept, ALICE, Channel.WEB, citizen_of(town.id), clock())
    db.session.commit()
    assert len(made.appointments) == 3

    begin_write_again()
    with pytest.raises(SlotTaken):
        book_visit(other, ALICE, Channel.WEB, citizen_of(town.id), clock())
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(Booking)) == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # SQLite has one writer at a time anyway
def test_the_address_is_taken_before_the_offices(here: Standing, clock: Clock) -> None:
    """As everybody takes them who takes both: or two of them would wait in a circle."""
    kept, sent = held(clock, holder=Holder(None, "there")), list[str]()
    town = read_again().municipality

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        sent.extend(word for word in ("pg_advisory_xact_lock", "UPDATE office") if word in statement)

    event.listen(db.engine, "before_cursor_execute", note)
    book_visit(kept, Citizen("Alice", "nl"), Channel.WEB, citizen_of(town.id), clock())

    assert sent[0] == "pg_advisory_xact_lock"
    assert sent.count("pg_advisory_xact_lock") == 1


def test_a_second_click_books_a_visit_once(here: Standing, clock: Clock) -> None:
    kept = held(clock)
    actor = citizen_of(here.municipality.id)
    ids = []
    for _ in range(2):
        begin_write_again()
        ids.append(book_visit(kept, ALICE, Channel.WEB, actor, clock()).id)
        db.session.commit()

    assert ids[0] == ids[1]
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 3


@pytest.mark.parametrize("minutes", [5, 15, 35, -30, 24 * 60])
def test_a_visit_is_moved_together_and_each_stays_the_same_appointment(
    here: Standing, clock: Clock, minutes: int
) -> None:
    made = booked(clock)
    before = {one.id: (one.uid, one.sequence) for one in made.appointments}

    move_to(made, TEN + minutes * MINUTE, clock)

    first, second, third = sorted(made.appointments, key=lambda one: one.starts_at)
    assert first.starts_at == TEN + minutes * MINUTE
    assert keys(made.appointments) == ["civil-service", "building-service", "economy-service"]
    assert second.starts_at >= first.ends_at + 5 * MINUTE and third.starts_at >= second.ends_at + 10 * MINUTE
    assert {one.id: (one.uid, one.sequence - 1) for one in made.appointments} == before
    assert ticks() == 14
    assert not recount_of(here, clock)


def test_a_visit_that_fits_nowhere_else_stays_where_it_is(here: Standing, clock: Clock) -> None:
    made = booked(clock)

    with pytest.raises(SlotTaken):
        move_to(made, TEN + 115 * MINUTE, clock)  # five minutes before closing
    db.session.rollback()

    assert made.appointments[0].starts_at == TEN
    assert not recount_of(here, clock)


def test_one_desk_is_cancelled_and_then_the_rest_together(here: Standing, clock: Clock) -> None:
    made = booked(clock)
    actor = citizen_of(here.municipality.id)

    begin_write_again()
    cancel(made.appointments[1], actor, clock())
    db.session.commit()
    assert ticks() == 7

    begin_write_again()
    cancel_visit([one for one in made.appointments if one.is_booked], actor, clock())
    db.session.commit()
    assert ticks() == 0
    assert [one.sequence for one in made.appointments] == [1, 1, 1]


def test_what_is_strictest_of_its_services_says_how_late_a_visit_can_be_changed(here: Standing, clock: Clock) -> None:
    made, actor = booked(clock), citizen_of(here.municipality.id)
    building = made.appointments[1].items[0].service
    building.move_hours, building.cancel_hours = 24, 2
    db.session.commit()
    clock.now = TEN - timedelta(hours=20)

    with pytest.raises(TooLate):
        move_to(made, TEN + timedelta(days=1), clock)
    begin_write_again()
    cancel(made.appointments[0], actor, clock())  # the registry has no such hours
    db.session.commit()
    clock.now = TEN - timedelta(hours=1)
    begin_write_again()
    with pytest.raises(TooLate):
        cancel_visit([one for one in made.appointments if one.is_booked], actor, clock())
    db.session.rollback()

    assert [one.is_booked for one in made.appointments] == [False, True, True]
    clerk = make_staff(here.municipality.id, "clerk@example.org")
    db.session.commit()
    begin_write_again()
    cancel_visit([one for one in made.appointments if one.is_booked], member(clerk), clock())
    assert not any(one.is_booked for one in made.appointments)


def test_a_visit_that_has_begun_is_changed_as_a_whole_no_more(here: Standing, clock: Clock) -> None:
    made = booked(clock)
    clock.now = TEN + 5 * MINUTE

    with pytest.raises(TooLate):
        move_to(made, TEN + 24 * 60 * MINUTE, clock)
    begin_write_again()
    with pytest.raises(TooLate):
        cancel_visit(made.appointments, citizen_of(here.municipality.id), clock())
    db.session.rollback()

    assert all(one.is_booked for one in made.appointments)
