"""What stands in the calendar of the town hall: the week of each counter on a date, closures, public holidays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from holidays import country_holidays
from sqlalchemy import bindparam, or_, select

from booking.db import db, read_once
from booking.slots.clock import day_start, moment_of
from booking.townhall.hours import WeeklyRule
from booking.townhall.models import Closure, Municipality, Office, OpeningHours
from booking.townhall.plans import Stretch

HOLIDAYS_FOR = timedelta(days=426)  # fourteen months
_THEIR_NAMES = {"nl": "nl", "fr": "fr", "de": "de", "en": "en_US"}

Week = tuple[tuple[tuple[int, int], ...], ...]  # Monday first: the stretches of each day


_RULES = (
    select(OpeningHours.counter_id, OpeningHours.weekday, OpeningHours.opens, OpeningHours.closes)
    .add_columns(OpeningHours.from_on, OpeningHours.until_on, OpeningHours.every_weeks)
    .where(OpeningHours.counter_id.in_(bindparam("counters", expanding=True)))
    .where(or_(OpeningHours.until_on.is_(None), OpeningHours.until_on >= bindparam("on")))
    .order_by(OpeningHours.opens)
)


@dataclass(frozen=True)
class Hours:
    """The hours of a counter from a date on."""

    on: date
    rules: Sequence[WeeklyRule]  # those that are not over, by when they open

    @property
    def week(self) -> Week:
        """The hours of the seven days from the date on, Monday first."""
        days = {day.weekday(): day for day in (self.on + timedelta(days=n) for n in range(7))}
        found: list[list[tuple[int, int]]] = [[] for _day in days]
        for rule in self.rules:
            if rule.holds_on(days[rule.weekday]):
                found[rule.weekday].append((rule.opens, rule.closes))
        return tuple(map(tuple, found))

    @property
    def changes(self) -> list[date]:
        """The days after the date on which the hours change."""
        ends = {rule.until_on + timedelta(days=1) for rule in self.rules if rule.until_on}
        return sorted(day for day in ends | {rule.from_on for rule in self.rules} if day > self.on)


def hours_from(counter_ids: Sequence[int], on: date) -> dict[int, Hours]:
    """The hours of each counter from this date on."""
    rules: dict[int, list[WeeklyRule]] = {id: [] for id in counter_ids}
    rows: Sequence[Any] = read_once(_RULES, counters=list(counter_ids), on=on)
    for counter_id, *rule in rows:
        rules[counter_id].append(WeeklyRule(*rule))
    return {id: Hours(on, found) for id, found in rules.items()}


def closures_to_come(municipality: Municipality, now: datetime) -> Sequence[Closure]:
    """The closures that are not over, earliest first."""
    query = select(Closure).join(Office, Office.id == Closure.office_id)
    query = query.where(Office.municipality_id == municipality.id, Closure.ends_at > now)
    return db.session.scalars(query.order_by(Closure.starts_at, Closure.office_id, Closure.id)).all()


def closure_with(municipality: Municipality, id: int) -> Closure | None:
    query = select(Closure).join(Office, Office.id == Closure.office_id)
    return db.session.scalar(query.where(Office.municipality_id == municipality.id, Closure.id == id))


@dataclass(frozen=True)
class Holiday:
    """A public holiday, its names by language, and the offices that are not closed on it yet."""

    on: date
    names: Mapping[str, str]
    open_offices: tuple[int, ...]


def public_holidays(municipality: Municipality, today: date) -> list[Holiday]:
    """What the calendar of the country proposes for the coming fourteen months; people decide."""
    last = today + HOLIDAYS_FOR
    years = range(today.year, last.year + 1)
    names = {one: _country(municipality.country, years, one) for one in municipality.languages}
    days = sorted({day for found in names.values() for day in found if today <= day <= last})
    closed = _closed_offices(municipality, days)
    return [
        Holiday(
            day,
            {one: found[day] for one, found in names.items() if day in found},
            tuple(office.id for office in municipality.offices if office.id not in closed[day]),
        )
        for day in days
    ]


def whole_days(first: date, last: date, zone: ZoneInfo, reasons: Mapping[str, str]) -> Stretch:
    """From the first midnight to the last, of the local clock."""
    starts, ends = day_start(first, zone), day_start(last + timedelta(days=1), zone)
    return Stretch(moment_of(starts), moment_of(ends), reasons)


def _country(country: str, years: Iterable[int], language: str) -> Mapping[date, str]:
    """The holidays with their names in this language, or in the country's own where that has no such names."""
    try:
        found: Mapping[date, str] = country_holidays(country, years=years, language=_THEIR_NAMES[language])
    except (NotImplementedError, KeyError):
        return {}
    return found


def _closed_offices(municipality: Municipality, days: Sequence[date]) -> dict[date, set[int]]:
    """For each day the offices that are closed all day."""
    closed: dict[date, set[int]] = {day: set() for day in days}
    if not days:
        return closed
    zone = ZoneInfo(municipality.zone)
    query = select(Closure).join(Office, Office.id == Closure.office_id).where(Closure.counter_id.is_(None))
    query = query.where(Office.municipality_id == municipality.id)
    rows = db.session.scalars(query.where(Closure.ends_at > whole_days(days[0], days[0], zone, {}).starts_at)).all()
    for day in days:
        whole = whole_days(day, day, zone, {})
        closed[day] = {
            one.office_id for one in rows if one.starts_at <= whole.starts_at and one.ends_at >= whole.ends_at
        }
    return closed
