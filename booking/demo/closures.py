"""When the demo town hall is closed: on public holidays, and a desk for a morning of training."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from holidays import country_holidays
from sqlalchemy import insert

from booking.db import db
from booking.slots.clock import day_start, moment_of
from booking.townhall.models import Closure, Municipality

HOLIDAYS_FOR = timedelta(days=426)  # fourteen months
TRAINING_AHEAD = timedelta(days=21)
HOLIDAY_LANGUAGES = {"nl": "nl", "fr": "fr", "de": "de", "en": "en_US"}
TRAINING = {
    "nl": "Opleiding van het personeel",
    "fr": "Formation du personnel",
    "de": "Fortbildung des Personals",
    "en": "Staff training",
}


def _holidays(today: date) -> dict[date, dict[str, str]]:
    """The public holidays of the coming fourteen months and their names in each language."""
    last = today + HOLIDAYS_FOR
    years = range(today.year, last.year + 1)
    names = {ours: country_holidays("BE", years=years, language=theirs) for ours, theirs in HOLIDAY_LANGUAGES.items()}
    days = sorted(day for day in names["nl"] if today <= day <= last)
    return {day: {language: found[day] for language, found in names.items()} for day in days}


def close_on_holidays(town: Municipality, today: date) -> None:
    rows = [
        {
            "office_id": office.id,
            "starts_at": moment_of(day_start(day, ZoneInfo(town.zone))),
            "ends_at": moment_of(day_start(day + timedelta(days=1), ZoneInfo(town.zone))),
            "reasons": names,
        }
        for office in town.offices
        for day, names in _holidays(today).items()
    ]
    db.session.execute(insert(Closure), rows)


def close_for_training(town: Municipality, today: date) -> None:
    """The building desk is closed for a morning, on the first working day in three weeks."""
    day = today + TRAINING_AHEAD
    while day.weekday() > 4 or day in _holidays(today):
        day += timedelta(days=1)
    starts_at, ends_at = (datetime.combine(day, clock, ZoneInfo(town.zone)) for clock in (time(8), time(12, 30)))
    desk = next(desk for desk in town.offices[0].desks if desk.key == "building")
    db.session.add_all(
        Closure(
            office_id=desk.office_id,
            counter_id=counter.id,
            starts_at=starts_at,
            ends_at=ends_at,
            reasons=TRAINING,
        )
        for counter in desk.counters
    )
    db.session.flush()
