"""Wall clock to ticks, against a walk through every minute of Unix time."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from booking.db import UtcDateTime, db
from booking.slots.clock import TICK, TICK_MINUTES, day_start, moment_of, open_ticks, tick_from, tick_of
from booking.slots.timeline import ticks_in
from booking.townhall.hours import Horizon, Opening, WeeklyRule, opening
from booking.townhall.models import Office
from booking.townhall.revisions import raise_activity
from tests.factories import Town

pytestmark = pytest.mark.time

ZONES = (
    "Europe/Brussels",
    "Europe/Berlin",
    "Europe/Lisbon",
    "America/St_Johns",  # half an hour beside the full one
    "Australia/Lord_Howe",  # the clock is changed by half an hour
    "UTC",
    "Africa/Cairo",  # midnight is skipped in spring, the hour before it is repeated in autumn
    "Asia/Beirut",  # midnight is skipped
    "Atlantic/Azores",  # midnight is repeated
)
YEARS = range(2023, 2031)
STEPS = (5, 10, 15, 20, 30, 60)
MINUTE = timedelta(minutes=1)
LONG_AGO = date(2020, 1, 1)
BRUSSELS = ZoneInfo("Europe/Brussels")

Closures = tuple[tuple[datetime, datetime], ...]


@lru_cache
def changes(zone: str) -> list[date]:
    """The local dates on which the clock of the zone is changed; an ordinary one where it never is."""
    days = [date(YEARS[0], 1, 1) + timedelta(days=n) for n in range(365 * len(YEARS))]
    offsets = [datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset() for day in days]
    found = [day for day, before, after in zip(days[1:], offsets, offsets[1:], strict=False) if before != after]
    return found or [date(2026, 3, 29)]


zones = st.sampled_from(ZONES)
minutes = st.integers(0, 24 * 60 // 5).map(lambda ticks: ticks * 5)


@st.composite
def horizons(draw: st.DrawFn) -> Horizon:
    """One to four days around a change of the clock."""
    zone = draw(zones)
    first_day = draw(st.sampled_from(changes(zone))) - timedelta(days=draw(st.integers(0, 2)))
    return Horizon(first_day, draw(st.integers(1, 4)), ZoneInfo(zone))


@st.composite
def hours(draw: st.DrawFn, horizon: Horizon) -> tuple[WeeklyRule, ...]:
    """Some weekly rules; part of them begins or ends to hold within the horizon."""
    dates = st.sampled_from([horizon.first_day + timedelta(days=n) for n in range(-1, horizon.days + 1)])
    rules = []
    for _ in range(draw(st.integers(1, 5))):
        opens, closes = sorted(draw(st.lists(minutes, min_size=2, max_size=2, unique=True)))
        weekday = draw(dates).weekday()
        from_on, until_on = draw(st.just(LONG_AGO) | dates), draw(st.none() | dates)
        rules.append(WeeklyRule(weekday, opens, closes, from_on, until_on))
    return tuple(rules)


@st.composite
def closures(draw: st.DrawFn, horizon: Horizon) -> Closures:
    first = moment_of(horizon.base)
    found = []
    for _ in range(draw(st.integers(0, 2))):
        starts = first + timedelta(minutes=draw(st.integers(-600, 4 * 1440)))
        found.append((starts, starts + timedelta(minutes=draw(st.integers(1, 900)))))
    return tuple(found)


def walked(rules: tuple[WeeklyRule, ...], closed: Closures, step: int, horizon: Horizon) -> tuple[set[int], set[int]]:
    """The open ticks and those where a visit may begin, found by asking every minute for its wall clock."""
    last_day = horizon.first_day + timedelta(days=horizon.days - 1)
    minute = datetime.combine(horizon.first_day, time(), UTC) - timedelta(hours=14)
    open_minutes, grid = set(), set()
    while minute < datetime.combine(last_day, time(), UTC) + timedelta(hours=38):
        local = minute.astimezone(horizon.zone)
        if horizon.first_day <= local.date() <= last_day and serves(rules, closed, local):
            open_minutes.add(minute)
            if local.minute % step == 0:
                grid.add(int(minute.timestamp()) // TICK)
        minute += MINUTE
    ticks = {int(minute.timestamp()) // TICK for minute in open_minutes}
    return {tick for tick in ticks if open_minutes.issuperset(moment_of(tick) + n * MINUTE for n in range(5))}, grid


def serves(rules: tuple[WeeklyRule, ...], closed: Closures, local: datetime) -> bool:
    clock, day, at = local.hour * 60 + local.minute, local.date(), local.astimezone(UTC)
    is_open = any(
        rule.weekday == day.weekday()
        and rule.opens <= clock < rule.closes
        and rule.from_on <= day <= (rule.until_on or day)
        for rule in rules
    )
    return is_open and not any(starts < at + MINUTE and at < ends for starts, ends in closed)


def ticks(mask: int, horizon: Horizon) -> set[int]:
    return set(ticks_in(mask, horizon.base))


@given(st.data())
def test_opening_hours_are_what_the_clock_on_the_wall_says(data: st.DataObject) -> None:
    horizon = data.draw(horizons())
    rules, closed = data.draw(hours(horizon)), data.draw(closures(horizon))
    step = data.draw(st.sampled_from(STEPS))

    found = opening(rules, closed, step, horizon)

    is_open, grid = walked(rules, closed, step, horizon)
    assert ticks(found.open, horizon) == is_open
    assert ticks(found.open & found.grid, horizon) == grid & is_open


@given(horizons())
def test_every_tick_belongs_to_one_local_day(horizon: Horizon) -> None:
    stretches = [
        range(day_start(day, horizon.zone), day_start(day + timedelta(days=1), horizon.zone)) for day in horizon.dates
    ]

    for day, stretch in zip(horizon.dates, stretches, strict=True):
        assert all(moment_of(tick).astimezone(horizon.zone).date() == day for tick in stretch)
    assert [one.stop for one in stretches[:-1]] == [one.start for one in stretches[1:]]
    assert (horizon.base, horizon.end) == (stretches[0].start, stretches[-1].stop)


@given(horizons())
def test_a_whole_day_is_open_from_midnight_to_midnight(horizon: Horizon) -> None:
    for day in horizon.dates:
        found = [tick for stretch in open_ticks(day, 0, 24 * 60, horizon.zone) for tick in stretch]

        assert found == list(range(day_start(day, horizon.zone), day_start(day + timedelta(days=1), horizon.zone)))


@pytest.mark.parametrize(
    ("zone", "day", "served"),
    [
        ("Europe/Brussels", date(2026, 3, 29), 2),  # 02:00 becomes 03:00
        ("Europe/Brussels", date(2026, 10, 25), 4),  # 03:00 becomes 02:00
        ("Europe/Brussels", date(2026, 11, 22), 3),
        ("Australia/Lord_Howe", date(2026, 4, 5), 3.5),
        ("Africa/Cairo", date(2026, 4, 24), 2),  # midnight becomes one o'clock
    ],
)
def test_a_gap_holds_no_tick_and_a_repeated_hour_is_served_twice(zone: str, day: date, served: float) -> None:
    opens, closes = (0, 180) if zone == "Africa/Cairo" else (60, 240)

    found = sum(len(stretch) for stretch in open_ticks(day, opens, closes, ZoneInfo(zone)))

    assert found * TICK_MINUTES == served * 60


@pytest.mark.parametrize(
    ("step", "starts"),
    [
        (60, ["01:00", "02:00"]),
        (20, ["01:00", "01:20", "01:40", "01:40", "02:00", "02:20", "02:40"]),
    ],
)
def test_visits_begin_on_the_grid_of_the_wall_clock_when_half_an_hour_is_repeated(step: int, starts: list[str]) -> None:
    day = date(2026, 4, 5)
    horizon = Horizon(day, 1, ZoneInfo("Australia/Lord_Howe"))
    rules = (WeeklyRule(day.weekday(), 60, 180, LONG_AGO),)

    found = opening(rules, (), step, horizon)

    assert [
        f"{moment_of(tick).astimezone(horizon.zone):%H:%M}" for tick in ticks_in(found.grid, horizon.base)
    ] == starts


def test_a_closure_closes_every_tick_that_it_touches() -> None:
    horizon = Horizon(date(2026, 11, 23), 1, BRUSSELS)
    rules = (WeeklyRule(0, 9 * 60, 10 * 60, LONG_AGO),)
    nine = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

    found = opening(rules, ((nine + 12 * MINUTE, nine + 15 * MINUTE + timedelta(microseconds=1)),), 5, horizon)

    closed = {tick_of(nine) + 2, tick_of(nine) + 3}
    assert ticks(found.open, horizon) == set(range(tick_of(nine), tick_of(nine) + 12)) - closed


def test_a_closure_for_good_costs_no_more_than_a_short_one() -> None:
    horizon = Horizon(date(2026, 11, 23), 60, BRUSSELS)
    rules = (WeeklyRule(0, 9 * 60, 10 * 60, LONG_AGO),)
    for_good = ((datetime(2026, 11, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),)

    tracemalloc.start()
    found = opening(rules, for_good, 5, horizon)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == Opening(0, 0)
    assert most < 5_000_000


moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis adds the zone)
edges = st.integers(3_200_000, 13_000_000).map(moment_of)  # where a tick begins
repeated = st.integers(0, 24).map(lambda n: datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + n * 5 * MINUTE)


@given(moments)
def test_a_tick_holds_its_moments(moment: datetime) -> None:
    assert moment_of(tick_of(moment)) <= moment < moment_of(tick_of(moment) + 1)


@given(moments | edges | repeated, st.integers(-2000, 2000), zones)
def test_the_tick_from_a_moment_on_begins_then_or_later(moment: datetime, microseconds: int, zone: str) -> None:
    near = moment + timedelta(microseconds=microseconds)

    found = tick_from(near.astimezone(ZoneInfo(zone)))

    assert moment_of(found - 1) < near <= moment_of(found)


def a_table_of_moments() -> Table:
    table = Table("kept_moment", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcDateTime()))
    table.create(db.session.connection())
    return table


def test_a_moment_comes_back_aware_and_in_utc(context: Flask) -> None:
    table = a_table_of_moments()
    summer = datetime(2026, 7, 1, 10, 0, 0, 123456, tzinfo=BRUSSELS)

    db.session.execute(insert(table), [{"at": summer}, {"at": None}])

    found = db.session.scalars(select(table.c.at).order_by(table.c.id)).all()
    assert found == [summer, None]
    assert found[0].tzinfo is UTC
    assert found[0].isoformat() == "2026-07-01T08:00:00.123456+00:00"


def test_the_two_readings_of_a_repeated_hour_are_two_moments(context: Flask) -> None:
    table = a_table_of_moments()
    once = datetime(2026, 10, 25, 2, 30, tzinfo=BRUSSELS)
    again = once.replace(fold=1)

    db.session.execute(insert(table), [{"at": once}, {"at": again}])

    found = db.session.scalars(select(table.c.at).order_by(table.c.at)).all()
    assert [moment.isoformat()[11:16] for moment in found] == ["00:30", "01:30"]
    assert db.session.scalars(select(table.c.id).where(table.c.at == again)).all() == [2]


def test_a_moment_without_a_zone_is_refused(context: Flask) -> None:
    table = a_table_of_moments()

    with pytest.raises(StatementError, match="has no time zone"):
        db.session.execute(insert(table).values(at=datetime(2026, 7, 1, 10, 0)))  # noqa: DTZ001
    with pytest.raises(StatementError, match="has no time zone"):
        db.session.execute(select(table).where(table.c.at > datetime(2026, 7, 1, 10, 0)))  # noqa: DTZ001


def test_the_last_change_of_an_office_is_dated_in_utc_and_never_goes_back(context: Flask, town: Town) -> None:
    dated = select(Office.activity_at).where(Office.id == town.office_id)

    raise_activity([town.office_id], datetime(2026, 12, 1, 10, 0, tzinfo=BRUSSELS))
    assert db.session.scalar(dated) == datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
    raise_activity([town.office_id], datetime(2026, 12, 1, 9, 59, tzinfo=BRUSSELS))

    assert db.session.scalar(dated) == datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
