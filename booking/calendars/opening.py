"""The public feed of an office: when it is open and when it is closed, for everybody and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from uuid import NAMESPACE_URL, uuid5
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from flask_babel import force_locale, gettext
from sqlalchemy import Engine, select

from booking.appointments.timelines import load_lines
from booking.calendars.body import FeedBody, Shelf, body_of, calendar_of, settled
from booking.calendars.entry import Entry, event_lines
from booking.calendars.rows import midnight
from booking.db import db
from booking.slots.clock import moment_of
from booking.spoken import locale_of
from booking.townhall.hours import Horizon
from booking.townhall.models import Closure, Office
from booking.townhall.models import spoken as said
from booking.townhall.revisions import is_raised_here
from booking.townhall.standing import Standing

PAST_DAYS = 7
FUTURE_DAYS = 120
NEVER_CHANGED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Kept:
    body: FeedBody
    revision: int
    day: date
    changed_at: datetime


_bodies: WeakKeyDictionary[Engine, Shelf[tuple[int, str], _Kept]] = WeakKeyDictionary()


def opening_body(office: Office, town: Standing, language: str, now: datetime) -> FeedBody:
    """When any counter of the office serves, and its closures, from PAST_DAYS ago to FUTURE_DAYS ahead.

    Kept for the local day and the revision of the municipality.
    """
    day = now.astimezone(ZoneInfo(town.municipality.zone)).date()
    shelf = _bodies.setdefault(db.engine, Shelf())
    found = shelf.get((office.id, language))
    if found is None or (found.revision, found.day) != (town.revision, day):
        found = _rendered(office, town, language, now)
        if not is_raised_here():
            shelf.put((office.id, language), found, len(found.body.content))
    return replace(found.body, last_modified=settled(found.changed_at, now))


def _rendered(office: Office, town: Standing, language: str, now: datetime) -> _Kept:
    zone = ZoneInfo(town.municipality.zone)
    day = now.astimezone(zone).date()
    changed_at = db.session.scalars(select(Office.activity_at).where(Office.id == office.id)).one()
    horizon = Horizon(day - timedelta(days=PAST_DAYS), PAST_DAYS + FUTURE_DAYS, zone)
    with force_locale(locale_of(language)):
        entries = [*_openings(office, language, horizon, now), *_closures(office, language, horizon)]
        title = gettext("Opening hours") + f" · {office.name(language)}"
    entries.sort(key=lambda one: (one.starts_at, one.ends_at, one.uid))
    changed_at = max(changed_at, midnight(day, zone))
    content = calendar_of(title, zone.key, map(event_lines, entries))
    return _Kept(body_of(content, changed_at, now), town.revision, day, changed_at)


def _openings(office: Office, language: str, horizon: Horizon, now: datetime) -> Iterator[Entry]:
    lines = load_lines(office, office.revision, horizon, now).counters
    mask = reduce(or_, (line.opening.open for line in lines), 0)
    words: str = gettext("Open")
    for stretch in _stretches(mask, horizon.base):
        yield _entry(office, language, words, (moment_of(stretch.start), moment_of(stretch.stop)))


def _stretches(mask: int, base: int) -> Iterator[range]:
    """The runs of set bits, as ticks."""
    while mask:
        gap = (mask & -mask).bit_length() - 1
        mask >>= gap
        length = (~mask & (mask + 1)).bit_length() - 1
        yield range(base + gap, base + gap + length)
        mask >>= length
        base += gap + length


def _closures(office: Office, language: str, horizon: Horizon) -> Iterator[Entry]:
    """The closures of the whole office; those of one counter leave it open."""
    query = select(Closure.starts_at, Closure.ends_at, Closure.reasons).where(
        Closure.office_id == office.id,
        Closure.counter_id.is_(None),
        Closure.ends_at > moment_of(horizon.base),
        Closure.starts_at < moment_of(horizon.end),
    )
    for row in db.session.execute(query):
        yield _entry(office, language, _closed(row.reasons, office, language), (row.starts_at, row.ends_at))


def _closed(reasons: dict[str, str], office: Office, language: str) -> str:
    reason = said(reasons, language, office.municipality.language)
    words: str = gettext("Closed: %(reason)s", reason=reason) if reason else gettext("Closed")
    return words


def _entry(office: Office, language: str, words: str, span: tuple[datetime, datetime]) -> Entry:
    """What says the same is the same event, and what says anything else is another: so none ever changes."""
    summary, zone = f"{words} · {office.name(language)}", ZoneInfo(office.municipality.zone)
    said_here = (office.id, summary, office.address, *(moment.isoformat() for moment in span))
    return Entry(
        uid=f"{uuid5(NAMESPACE_URL, repr(said_here))}@balie",
        sequence=0,
        is_cancelled=False,
        starts_at=span[0],
        ends_at=span[1],
        made_at=NEVER_CHANGED,
        changed_at=NEVER_CHANGED,
        zone=zone.key,
        summary=summary,
        location=f"{office.name(language)}, {office.address}",
        is_notice=True,
        is_whole_days=all(moment == midnight(moment.astimezone(zone).date(), zone) for moment in span),
    )
