"""The demo town hall: the same for the same day on both databases, within its own rules, and about half full."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking import create_app
from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking, Occupancy, Visit
from booking.appointments.offers import Demand, bookable, offer
from booking.appointments.timelines import OfficeLines, load_lines, office_lines
from booking.config import Settings
from booking.db import db
from booking.demo.days import DAYS
from booking.demo.town import ZONE, build_demo, demo_exists, demo_sign_ins
from booking.outbox.models import Message, MessageState
from booking.slots.clock import tick_of
from booking.staff.accounts import holds, signed_in
from booking.staff.models import EVERYWHERE, Role, Staff
from booking.townhall.hours import Horizon
from booking.townhall.models import Closure, CounterService, Desk, Municipality, Office, Service
from tests.conftest import KEYS
from tests.postgresql import Cluster

pytestmark = pytest.mark.townhall

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)  # Monday, eleven o'clock in Brussels
EVENING = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@contextmanager
def built(url: str, folder: Path, now: datetime) -> Iterator[Flask]:
    app = create_app(Settings(database=url, keys=KEYS, instance=folder), clock=lambda: now)
    try:
        with app.app_context():
            build_demo(now, KEYS)
        yield app
    finally:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def copied(template: Path, folder: Path) -> str:
    shutil.copy(template, folder / "demo.sqlite")
    return f"sqlite:///{folder / 'demo.sqlite'}"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lindebeek(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The demo town, built once on each database; the tests only read it."""
    folder = tmp_path_factory.mktemp("lindebeek")
    if request.param == "sqlite":
        with built(copied(request.getfixturevalue("sqlite_template"), folder), folder, NOW) as app:
            yield app
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    name = f"demo_{uuid.uuid4().hex}"
    cluster.create(name, template="template_balie")
    with built(cluster.url(name), folder, NOW) as app:
        yield app
    cluster.drop(name)


@pytest.fixture
def here(lindebeek: Flask) -> Iterator[Municipality]:
    """The town, in a context of its app."""
    with lindebeek.app_context():
        yield db.session.scalars(select(Municipality)).one()
        db.session.rollback()


def contents(app: Flask) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the appointments, with ids, but for what the time of day decides."""
    tables = (Booking, Appointment, AppointmentService, Occupancy)
    with app.app_context():
        found = {
            table.__tablename__: [tuple(row) for row in db.session.execute(select(*table.__table__.columns))]
            for table in tables
        }
        db.session.rollback()
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def six_weeks(office: Office, weeks: range = range(DAYS // 7)) -> OfficeLines:
    first = NOW.astimezone(ZONE).date() + timedelta(days=7 * weeks.start)
    return load_lines(office, office.revision, Horizon(first, 7 * len(weeks), ZONE), NOW)


def fullness(town: Municipality, weeks: range) -> float:
    """The share of the open time that is taken."""
    lines = [line for office in town.offices for line in six_weeks(office, weeks).counters]
    return sum(line.taken.bit_count() for line in lines) / sum(line.opening.open.bit_count() for line in lines)


def test_the_same_day_gives_the_same_appointments_at_any_time_on_any_database(
    lindebeek: Flask, sqlite_template: Path, tmp_path: Path
) -> None:
    with built(copied(sqlite_template, tmp_path), tmp_path, EVENING) as other:
        assert contents(other) == contents(lindebeek)


def test_another_day_gives_other_appointments(lindebeek: Flask, sqlite_template: Path, tmp_path: Path) -> None:
    with built(copied(sqlite_template, tmp_path), tmp_path, TUESDAY) as other:
        theirs, ours = contents(other)["booking"], contents(lindebeek)["booking"]

    assert len(theirs) > 1000
    assert not {row[2] for row in theirs} & {row[2] for row in ours}  # the references


def test_the_town_hall_has_two_offices_and_twelve_counters(here: Municipality) -> None:
    desks = [[(desk.key, [c.number for c in desk.counters]) for desk in office.desks] for office in here.offices]

    assert desks == [
        [("civil", [1, 2, 3, 4, 5]), ("building", [6, 7, 8]), ("economy", [9, 10])],
        [("civil", [1, 2])],
    ]
    for thing in (here, *here.offices, *(desk for office in here.offices for desk in office.desks)):
        assert set(thing.names) == {"nl", "fr", "de", "en"}


def test_every_service_is_served_and_has_a_free_start(here: Municipality) -> None:
    services = db.session.scalars(select(Service)).all()
    served = set(db.session.scalars(select(CounterService.service_id)))
    everybody = [Demand(service, people) for service in services for people in (1, service.max_people)]

    assert len(services) == 104
    assert {service.id for service in services} == served
    assert [
        (asked.service.key, asked.people)
        for asked in everybody
        if not any(offer(office_lines(office, NOW), asked, NOW).first for office in here.offices)
    ] == []


def test_counters_of_one_desk_do_not_all_do_the_same(here: Municipality) -> None:
    for office in here.offices:
        assert len({line.services for line in six_weeks(office).counters}) == len(six_weeks(office).counters)


def test_no_visit_stands_outside_the_hours_or_in_a_closure(here: Municipality) -> None:
    for office in here.offices:
        lines = six_weeks(office)
        for line in lines.counters:
            assert line.taken & ~line.opening.open == 0
    taken = db.session.scalar(select(func.count()).select_from(Occupancy))
    assert taken == sum(line.taken.bit_count() for office in here.offices for line in six_weeks(office).counters)


def test_each_appointment_is_one_that_the_rules_would_have_let_through(here: Municipality) -> None:
    lines = {
        line.counter_id: (line, given) for o in here.offices for given in [six_weeks(o)] for line in given.counters
    }
    ticks = Tally(db.session.scalars(select(Occupancy.appointment_id)))

    for one in db.session.scalars(select(Appointment)):
        line, given = lines[one.counter_id]
        item, bit = one.items[0], tick_of(one.starts_at) - given.horizon.base
        demand = Demand(item.service, item.people)
        assert line.opening.grid >> bit & 1
        assert item.service_id in line.services
        assert item.people <= item.service.max_people
        assert one.ends_at - one.starts_at == demand.length
        assert bookable(item.service, one.booking.made_at, ZONE, given.horizon.base) >> bit & 1
        assert ticks[one.id] == (demand.ticks if one.is_booked else 0)


def test_bookings_are_as_booking_them_would_have_left_them(here: Municipality) -> None:
    midnight = NOW.astimezone(ZONE).replace(hour=0)
    rows = db.session.execute(select(Booking, Appointment).join(Booking.appointments)).all()

    for made, one in rows:
        assert made.first_free_at is not None
        assert made.made_at < made.first_free_at <= one.starts_at
        assert made.made_at <= one.changed_at < midnight
        assert one.sequence == (0 if one.is_booked else 1)
        assert one.is_booked is (one.changed_at == made.made_at)
    cancelled = sum(one.state == AppointmentState.CANCELLED for _, one in rows)
    assert 0 < cancelled < len(rows) / 20
    assert {made.channel.value for made, _ in rows} == {"web", "phone", "counter"}
    assert {made.language for made, _ in rows} == {"nl", "fr", "de", "en"}
    assert {(made.email is None, made.phone is None) for made, _ in rows} == {(a, b) for a in (0, 1) for b in (0, 1)}


def test_the_six_weeks_are_about_half_full_and_fuller_near_today(here: Municipality) -> None:
    assert 0.4 < fullness(here, range(6)) < 0.6
    assert 0.65 < fullness(here, range(1)) < 0.85
    assert 0.15 < fullness(here, range(5, 6)) < 0.35


def test_nothing_waits_in_the_outbox_that_is_due(here: Municipality) -> None:
    messages = db.session.scalars(select(Message)).all()
    cancelled = set(db.session.scalars(select(Appointment.id).where(Appointment.state == AppointmentState.CANCELLED)))
    by_state = {state: [one for one in messages if one.state == state] for state in MessageState}

    assert all(one.due_at > NOW and one.subject_id not in cancelled for one in by_state[MessageState.QUEUED])
    assert all(one.due_at <= NOW and one.ended_at == one.due_at for one in by_state[MessageState.SENT])
    assert all(one.subject_id in cancelled and one.reason for one in by_state[MessageState.DROPPED])
    assert {one.occasion for one in by_state[MessageState.QUEUED]} == {"day-before", "two-hours-before"}
    assert sum(map(len, by_state.values())) == len(messages) > 1000


def test_the_morning_is_mostly_served_and_somebody_waits(here: Municipality) -> None:
    visits = db.session.scalars(select(Visit)).all()
    waiting = [one for one in visits if one.arrived_at and not one.served_at]

    assert sum(one.served_at is not None for one in visits) > len(visits) / 2
    assert sum(one.missed_at is not None for one in visits) == 1
    assert any(one.appointment is not None and one.appointment.starts_at > NOW for one in waiting)
    assert all(at is None or at <= NOW for v in visits for at in (v.arrived_at, v.served_at, v.missed_at))


def test_the_offices_close_on_public_holidays_and_a_desk_for_training(here: Municipality) -> None:
    closures = db.session.scalars(select(Closure)).all()
    christmas = [one for one in closures if one.reasons["nl"] == "Kerstmis"]
    training = [one for one in closures if one.counter_id is not None]

    assert {one.office_id for one in christmas if one.starts_at.year == 2026} == {o.id for o in here.offices}
    assert {one.reasons["fr"] for one in christmas} == {"Noël"}
    assert christmas[0].starts_at == datetime(2026, 12, 24, 23, 0, tzinfo=UTC)
    assert christmas[0].ends_at == datetime(2026, 12, 25, 23, 0, tzinfo=UTC)
    building = db.session.scalars(select(Desk).where(Desk.key == "building")).one()
    assert {one.counter_id for one in training} == {counter.id for counter in building.counters}
    assert all(timedelta(days=20) < one.starts_at - NOW < timedelta(days=28) for one in training)


def test_everybody_on_the_staff_can_sign_in(here: Municipality) -> None:
    accounts = demo_sign_ins(KEYS)

    assert len(accounts) == db.session.scalar(select(func.count()).select_from(Staff))
    for one in accounts:
        assert signed_in(here.id, one.email, one.password) is not None
    administrator = signed_in(here.id, accounts[0].email, accounts[0].password)
    assert administrator is not None and holds(administrator, Role.ADMINISTRATOR, EVERYWHERE)
    assert signed_in(here.id, accounts[0].email, accounts[1].password) is None


def test_passwords_follow_from_the_key() -> None:
    ours, others = demo_sign_ins(KEYS), demo_sign_ins((b"another key of 32 characters or more",))

    assert [one.email for one in ours] == [one.email for one in others]
    assert not {one.password for one in ours} & {one.password for one in others}
    assert all([len(part) for part in one.password.split("-")] == [4, 4, 4] for one in ours)


def test_a_database_with_a_municipality_is_left_alone(lindebeek: Flask) -> None:
    before, lines = contents(lindebeek), []

    with lindebeek.app_context():
        assert demo_exists()
        build_demo(NOW, KEYS, lines.append)
        assert not db.session().in_transaction()

    assert contents(lindebeek) == before
    assert lines == ["Demo: this database holds a municipality already; nothing was built."]


def test_an_empty_database_holds_no_demo(context: Flask) -> None:
    assert not demo_exists()
