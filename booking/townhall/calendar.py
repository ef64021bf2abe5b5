"""What stands in the calendar of the town hall: the week of each counter on a date, closures, public holidays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from holidays import country_holidays
from sqlalchemy import or_, select

from booking.db import db
from booking.slots.clock import day_start, moment_of
from booking.townhall.hours import WeeklyRule
from booking.townhall.models import Closure, Municipality, Office, OpeningHours
from booking.townhall.plans import Stretch

HOLIDAYS_FOR = timedelta(days=426)  # fourteen months
_THEIR_NAMES = {"nl": "nl", "fr": "fr", "de": "de", "en": "en_US"}

Week = tuple[tuple[tuple[int, int], ...], ...]  # Monday first: the stretches of each day


def weeks(counter_ids: Iterable[int], on: date) -> dict[int, Week]:
    """For each counter its hours on the seven days from this date on, Monday first."""
    columns = (OpeningHours.counter_id, OpeningHours.weekday, OpeningHours.opens, OpeningHours.closes)
    query = select(*columns, OpeningHours.from_on, OpeningHours.until_on, OpeningHours.every_weeks)
    query = query.where(OpeningHours.counter_id.in_(list(counter_ids)), OpeningHours.from_on <= on + timedelta(days=6))
    query = query.where(or_(OpeningHours.until_on.is_(None), OpeningHours.until_on >= on))
    days = {day.weekday(): day for day in (on + timedelta(days=n) for n in range(7))}
    found: dict[int, list[list[tuple[int, int]]]] = {id: [[] for _day in range(7)] for id in counter_ids}
    rows: Iterable[Any] = db.session.execute(query.order_by(OpeningHours.opens))
    for counter_id, *columns_of_rule in rows:
        rule = WeeklyRule(*columns_of_rule)
        if rule.holds_on(days[rule.weekday]):
            found[counter_id][rule.weekday].append((rule.opens, rule.closes))
    return {id: tuple(map(tuple, week)) for id, week in found.items()}


def changes_to_come(counter_ids: Iterable[int], on: date) -> dict[int, list[date]]:
    """For each counter the days after this date on which its hours change."""
    query = select(OpeningHours.counter_id, OpeningHours.from_on, OpeningHours.until_on)
    found: dict[int, set[date]] = defaultdict(set)
    for id, from_on, until_on in db.session.execute(query.where(OpeningHours.counter_id.in_(list(counter_ids)))):
        found[id] |= {from_on, *([until_on + timedelta(days=1)] if until_on else [])}
    return {id: sorted(day for day in days if day > on) for id, days in found.items()}


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
