"""What is free, against a walk through every minute of small towns: what is offered can be held, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from booking import create_app
from booking.appointments.booking import Citizen, book, move
from booking.appointments.holds import hold
from booking.appointments.models import Channel, Occupancy
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, nearest, offer
from booking.appointments.timelines import office_lines
from booking.config import Settings
from booking.db import begin_write, db
from booking.slots.clock import moment_of, tick_of
from booking.staff.audit import citizen_of
from booking.townhall.models import Closure, CounterService, Office, Service
from booking.townhall.revisions import raise_office
from tests.conftest import MONDAY, Clock
from tests.factories import (
    Town,
    make_counter,
    make_desk,
    make_hours,
    make_municipality,
    make_office,
    make_service,
    make_town,
)

pytestmark = pytest.mark.time

MINUTE = timedelta(minutes=1)
TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
ALICE = Citizen("Alice Peeters", "nl", email="alice@example.org")
A_FEW = hypothesis_settings(
    max_examples=max(4, hypothesis_settings().max_examples // 3),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_slugs = count(1)


@dataclass(frozen=True)
class CounterPlan:
    """One counter: weekly hours, closures, and the ticks that are taken, each with its end (None: not soon)."""

    does_it: bool
    hours: tuple[tuple[int, int, int], ...]
    closures: tuple[tuple[datetime, datetime], ...]
    taken: dict[int, datetime | None]


@dataclass(frozen=True)
class Plan:
    """A town with one desk and one service, and the moment at which somebody asks."""

    zone: str
    now: datetime
    step: int
    buffer: int
    minutes: int
    extra: int
    people: int
    notice: int
    days: int
    counters: tuple[CounterPlan, ...]

    @property
    def length(self) -> int:
        return self.minutes + self.extra * (self.people - 1)


change_days = st.sampled_from([date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 24)])
wall_minutes = st.integers(0, 288).map(lambda ticks: ticks * 5) | st.sampled_from([0, 60, 120, 180, 1440])


@st.composite
def counter_plans(draw: st.DrawFn, now: datetime) -> CounterPlan:
    hours = {(weekday, 0, 1440) for weekday in range(7)} if draw(st.booleans()) else set()
    for _ in range(draw(st.integers(1, 4))):
        opens, closes = sorted(draw(st.lists(wall_minutes, min_size=2, max_size=2, unique=True)))
        hours.add(((now + timedelta(days=draw(st.integers(-1, 3)))).weekday(), opens, closes))
    near = st.integers(-300, 3000).map(lambda minutes: now + minutes * MINUTE)
    closures = [(starts, starts + draw(st.integers(1, 300)) * MINUTE) for starts in draw(st.lists(near, max_size=1))]
    ends = st.none() | st.integers(-3, 3).map(lambda minutes: now + minutes * MINUTE)
    taken: dict[int, datetime | None] = {}
    for first in draw(st.lists(near.map(tick_of), max_size=5)):
        end = draw(ends)
        taken |= dict.fromkeys(range(first, first + draw(st.integers(1, 12))), end)
    return CounterPlan(draw(st.booleans()), tuple(sorted(hours)), tuple(closures), taken)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    zone = draw(st.sampled_from(["Europe/Brussels", "UTC", "America/St_Johns"]))
    morning = datetime.combine(draw(change_days), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    now = morning + timedelta(seconds=draw(st.integers(-30 * 3600, 30 * 3600)))
    return Plan(
        zone,
        now,
        step=draw(st.sampled_from([5, 10, 15, 20, 30, 60])),
        buffer=draw(st.sampled_from([0, 5, 15])),
        minutes=draw(st.sampled_from([5, 15, 40, 90])),
        extra=draw(st.sampled_from([0, 5])),
        people=draw(st.integers(1, 3)),
        notice=draw(st.sampled_from([0, 1, 2, 30])),
        days=draw(st.integers(1, 3)),
        counters=tuple(draw(counter_plans(now)) for _ in range(draw(st.integers(1, 3)))),
    )


def walked(plan: Plan) -> set[datetime]:
    """The starts that are free, found by asking every minute of every counter."""
    zone = ZoneInfo(plan.zone)
    last_day = plan.now.astimezone(zone).date() + timedelta(days=plan.days)
    first = plan.now.replace(second=0, microsecond=0) - 5 * MINUTE
    minutes = [first + n * MINUTE for n in range((plan.days + 3) * 1440)]
    local = {minute: minute.astimezone(zone) for minute in minutes}
    near_and_far = {
        minute
        for minute in minutes
        if minute >= plan.now + timedelta(hours=plan.notice) and local[minute].date() <= last_day
    }
    on_grid = {minute for minute in near_and_far if local[minute].minute % plan.step == 0}
    found = set()
    for counter in plan.counters:
        if counter.does_it:
            serving = {minute for minute in minutes if serves(counter, local[minute])}
            taken = {minute for minute in minutes if is_taken(counter, minute, plan.now)}
            found |= {
                start
                for start in on_grid
                if all(start + n * MINUTE in serving for n in range(plan.length))
                and all(start + n * MINUTE not in taken for n in range(plan.length + plan.buffer))
            }
    return found


def serves(counter: CounterPlan, local: datetime) -> bool:
    clock = local.hour * 60 + local.minute
    is_open = any(day == local.weekday() and opens <= clock < closes for day, opens, closes in counter.hours)
    tick = moment_of(tick_of(local))
    return is_open and not any(starts < tick + 5 * MINUTE and tick < ends for starts, ends in counter.closures)


def is_taken(counter: CounterPlan, minute: datetime, now: datetime) -> bool:
    tick = tick_of(minute)
    end = counter.taken.get(tick)
    return tick in counter.taken and (end is None or end > now)


def built(plan: Plan) -> tuple[Office, Demand]:
    """The town of the plan, committed."""
    db.session.rollback()
    begin_write()
    municipality = make_municipality(f"town-{next(_slugs)}", plan.zone)
    desk = make_desk(make_office(municipality), step_minutes=plan.step, buffer_minutes=plan.buffer)
    counters = [make_counter(desk, number) for number in range(1, len(plan.counters) + 1)]
    for counter, planned in zip(counters, plan.counters, strict=True):
        for hours in planned.hours:
            make_hours(counter, *hours)
        db.session.add_all(
            Closure(office_id=desk.office_id, counter_id=counter.id, starts_at=starts, ends_at=ends, reasons={})
            for starts, ends in planned.closures
        )
        db.session.add_all(
            Occupancy(counter_id=counter.id, tick=tick, expires_at=end or plan.now + timedelta(days=365))
            for tick, end in planned.taken.items()
        )
    doing = [counter for counter, planned in zip(counters, plan.counters, strict=True) if planned.does_it]
    service = make_service(
        municipality,
        "passport",
        doing,
        minutes=plan.minutes,
        extra_person_minutes=plan.extra,
        max_people=4,
        min_notice_hours=plan.notice,
        max_days_ahead=plan.days,
    )
    office = desk.office
    db.session.commit()
    return office, Demand(service, plan.people)


@A_FEW
@given(plan=plans())
def test_what_is_offered_is_what_a_walk_through_every_minute_finds(context: Flask, plan: Plan) -> None:
    office, demand = built(plan)

    found = free_starts(office, demand, plan.now)

    assert found == sorted(walked(plan))


@A_FEW
@given(plan=plans(), data=st.data())
def test_what_is_offered_is_exactly_what_can_be_held(context: Flask, plan: Plan, data: st.DataObject) -> None:
    office, demand = built(plan)
    offered = free_starts(office, demand, plan.now)
    aside = [start + n * MINUTE for start in offered[:3] for n in (-5, 1, 5, plan.length)]
    near = [moment_of(tick_of(plan.now) + n) for n in range(0, 700, 7)]
    tried = data.draw(st.lists(st.sampled_from(offered + aside + near), max_size=6, unique=True))

    held = {start for start in tried if can_be_held(office, demand, start, plan.now)}

    assert held == set(tried) & set(offered)
    assert free_starts(office, demand, plan.now) == offered  # nothing of what was rolled back is remembered


def free_starts(office: Office, demand: Demand, now: datetime) -> list[datetime]:
    """In UTC, where the two readings of a repeated hour differ."""
    found = [start.astimezone(UTC) for start in offer(office_lines(office, now), demand, now).starts]
    db.session.rollback()
    return found


def can_be_held(office: Office, demand: Demand, start: datetime, now: datetime) -> bool:
    db.session.rollback()
    begin_write()
    try:
        held = hold(office, demand, start, now)
        assert db.session.get(CounterService, (held.counter_id, held.service_id)), "a counter that does not do it"
    except SlotTaken:
        return False
    finally:
        db.session.rollback()
    return True


def things(town: Town) -> tuple[Office, Demand]:
    return db.session.get_one(Office, town.office_id), Demand(db.session.get_one(Service, town.passport_id))


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that reach the database; where a transaction begins is no question."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


def test_an_offer_costs_one_query_while_nothing_changed(context: Flask, town: Town, clock: Clock) -> None:
    office, demand = things(town)
    offer(office_lines(office, clock()), demand, clock())

    with statements() as seen:
        offer(office_lines(office, clock()), demand, clock())

    assert len(seen) == 1
    assert "revision" in seen[0]


def test_reading_a_large_office_takes_no_more_queries_than_a_small_one(
    context: Flask, town: Town, clock: Clock
) -> None:
    large = make_town("grootdorp", counters=9)
    db.session.commit()
    counts = []
    for one in (town, large):
        office, demand = things(one)
        with statements() as seen:
            offer(office_lines(office, clock()), demand, clock())
        counts.append(len(seen))

    assert counts[0] == counts[1] <= 8


def test_what_another_process_sold_is_no_longer_offered(
    context: Flask, town: Town, clock: Clock, settings: Settings
) -> None:
    office, demand = things(town)
    assert offer(office_lines(office, clock()), demand, clock()).has(TEN)
    db.session.rollback()

    other = create_app(settings, clock=clock)
    with other.app_context():
        for _ in town.counter_ids:
            begin_write()
            hold(*things(town), TEN, clock())
            db.session.commit()
        db.session.remove()
        db.engine.dispose()

    assert not offer(office_lines(office, clock()), demand, clock()).has(TEN)


def test_a_change_that_was_rolled_back_is_not_remembered(context: Flask, town: Town, clock: Clock) -> None:
    office, demand = things(town)
    db.session.rollback()
    begin_write()
    hold(office, demand, TEN, clock())
    assert offer(office_lines(office, clock()), demand, clock()).has(
        TEN
    )  # as this transaction sees it: one counter is left
    db.session.rollback()

    begin_write()
    raise_office([office.id], clock())
    db.session.add(Closure(office_id=office.id, starts_at=TEN, ends_at=TEN + 60 * MINUTE, reasons={}))
    db.session.commit()

    assert not offer(office_lines(office, clock()), demand, clock()).has(TEN)


def test_a_hold_that_ends_is_offered_again_though_nobody_tidied_up(context: Flask, town: Town, clock: Clock) -> None:
    office, demand = things(town)
    db.session.rollback()
    for _ in town.counter_ids:
        begin_write()
        hold(office, demand, TEN, clock())
        db.session.commit()
    assert not offer(office_lines(office, clock()), demand, clock()).has(TEN)

    clock.advance(minutes=19, seconds=59)
    assert not offer(office_lines(office, clock()), demand, clock()).has(TEN)
    clock.advance(seconds=1)

    assert offer(office_lines(office, clock()), demand, clock()).has(TEN)
    assert can_be_held(office, demand, TEN, clock())
    assert db.session.scalar(select(func.count()).select_from(Occupancy)) == 6  # the ticks still lie there


def test_midnight_takes_a_day_away_and_brings_a_new_one(context: Flask, town: Town, clock: Clock) -> None:
    office, demand = things(town)
    before = list(offer(office_lines(office, clock()), demand, clock()).days)

    clock.now = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)  # midnight in Brussels
    after = list(offer(office_lines(office, clock()), demand, clock()).days)

    assert (before[0], before[-1]) == (date(2026, 11, 23), date(2027, 1, 22))
    assert (after[0], after[-1]) == (date(2026, 11, 24), date(2027, 1, 22))  # the 23rd is a Saturday
    clock.advance(days=2)
    assert list(offer(office_lines(office, clock()), demand, clock()).days)[-1] == date(2027, 1, 25)


def test_on_the_last_day_a_visit_may_run_past_midnight(context: Flask) -> None:
    hours = tuple((weekday, 0, 1440) for weekday in range(7))
    plan = Plan(
        "Europe/Brussels", MONDAY, 30, 0, 60, 0, 1, notice=0, days=1, counters=(CounterPlan(True, hours, (), {}),)
    )
    office, demand = built(plan)
    late = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)  # half past eleven in the evening in Brussels

    assert list(offer(office_lines(office, MONDAY), demand, MONDAY).starts)[-1] == late
    assert can_be_held(office, demand, late, MONDAY)


def test_both_readings_of_a_repeated_hour_are_offered_held_and_listed_in_their_order(context: Flask) -> None:
    counter = CounterPlan(True, ((6, 120, 180),), (), {})  # on Sunday from two to three
    now = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    office, demand = built(Plan("Europe/Brussels", now, 30, 0, 30, 0, 1, notice=0, days=1, counters=(counter,)))

    free = offer(office_lines(office, now), demand, now)

    starts = list(free.starts)
    assert [f"{start:%H:%M %Z}" for start in starts] == ["02:00 CEST", "02:30 CEST", "02:00 CET", "02:30 CET"]
    assert [start for start, _ in nearest([free], starts[0], 4)] == starts
    assert all(free.has(start) and can_be_held(office, demand, start, now) for start in starts)


def test_a_visit_moved_to_the_last_minutes_before_the_clock_goes_back_keeps_its_length(context: Flask) -> None:
    counter = CounterPlan(True, ((6, 120, 180),), (), {})
    now = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    office, demand = built(Plan("Europe/Brussels", now, 15, 0, 30, 0, 1, notice=0, days=1, counters=(counter,)))
    actor = citizen_of(office.municipality_id)
    first, *_, later = [start for start in offer(office_lines(office, now), demand, now).starts if not start.fold]
    appointment = book(hold(office, demand, first, now), ALICE, Channel.WEB, actor, now).appointments[0]

    move(appointment, office, later, actor, now)

    assert f"{later:%H:%M}" == "02:45"
    assert appointment.ends_at - appointment.starts_at == 30 * MINUTE


def test_a_visit_goes_where_it_breaks_up_the_day_least(context: Flask, town: Town, clock: Clock) -> None:
    office, demand = things(town)
    db.session.rollback()
    begin_write()
    first = hold(office, demand, TEN, clock()).counter_id
    db.session.commit()

    begin_write()
    beside = hold(office, demand, TEN + 15 * MINUTE, clock()).counter_id

    assert beside == first
