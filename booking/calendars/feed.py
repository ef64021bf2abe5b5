"""The appointments of a feed, as bytes: of a counter, a desk, an office, a service, or of somebody's own desks.

A feed is a snapshot without METHOD (RFC 5545 3.7.2). The same rows give the same bytes in every process, so the ETag
is a hash of them. Contacts are not even read from the database, and names only where a feed shows initials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from flask_babel import force_locale, gettext
from sqlalchemy import Engine, Row, and_, func, literal, null, or_, select, update

from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking, Departure
from booking.appointments.references import grouped
from booking.calendars.body import FeedBody, Shelf, body_of, calendar_of, settled
from booking.calendars.entry import Entry, cancelled_summary, place
from booking.calendars.models import Detail, Feed
from booking.calendars.subscriptions import Scope
from booking.db import db
from booking.slots.clock import day_start, moment_of
from booking.spoken import locale_of
from booking.townhall.models import Office
from booking.townhall.revisions import is_raised_here
from booking.townhall.standing import Standing

PAST_DAYS = 30
TOMBSTONE = timedelta(hours=48)  # how long a cancelled appointment is shown at least


class Cancelled(StrEnum):
    """What a feed does with cancelled appointments. Some clients show them for ever; `?cancelled=hide` spares them."""

    SHOWN = "show"
    HIDDEN = "hide"


@dataclass(frozen=True)
class _Rendering:
    """A body as it was at these activities; true from `since` until the clock changes it: midnight, or an erasure."""

    body: FeedBody
    activities: tuple[int, ...]
    changed_at: datetime
    since: datetime
    until: datetime


@dataclass(frozen=True)
class _Window:
    """The stretch of appointments that a feed shows, and the local day of now within it."""

    zone: ZoneInfo
    starts: datetime
    midnight: datetime
    next_midnight: datetime
    ends: datetime


_renderings: WeakKeyDictionary[Engine, Shelf[tuple[Scope, Cancelled], _Rendering]] = WeakKeyDictionary()


def feed_body(
    scope: Scope, town: Standing, activities: Mapping[int, int], now: datetime, show: Cancelled = Cancelled.SHOWN
) -> FeedBody:
    """The appointments of the scope from PAST_DAYS ago to a day past the farthest that can be booked.

    `activities` are those of the offices as this request has read them: while they are as they were, no database is
    asked. What was cancelled, or moved to where the feed does not reach, stays as cancelled until its day is over, and
    at least for TOMBSTONE.
    """
    seen = tuple(activities.get(id, 0) for id in scope.office_ids)
    kept = _renderings.setdefault(db.engine, Shelf())
    found = kept.get((scope, show))
    if found is None or found.activities != seen or not found.since <= now < found.until:
        found = replace(_render(scope, town, now, show), activities=seen)
        if not is_raised_here():
            kept.put((scope, show), found, len(found.body.content))
    return replace(found.body, last_modified=settled(found.changed_at, now))


def note_fetches(feed_id: int, count: int, by: str, now: datetime) -> None:
    """Counts fetches, in a writing transaction of its own (`begin_write`). The caller commits."""
    db.session.execute(
        update(Feed).where(Feed.id == feed_id).values(fetched_at=now, fetched_by=by, fetches=Feed.fetches + count),
        execution_options={"synchronize_session": False},
    )


def _render(scope: Scope, town: Standing, now: datetime, show: Cancelled) -> _Rendering:
    """Reads and renders: three queries, however many appointments there are.

    When the offices last changed is read before them: what changes in between is rendered now, and once more at the
    next fetch.
    """
    activity_at = db.session.scalar(select(func.max(Office.activity_at)).where(Office.id.in_(scope.office_ids)))
    window = _window(town, now)
    found = _appointments(scope, window)
    ends = [_gone_at(one[0], window.zone) for one in found]
    shown = [
        one
        for one, gone_at in zip(found, ends, strict=True)
        if gone_at is None or (show == Cancelled.SHOWN and gone_at > now)
    ]
    turns = [moment for moment in (*ends, *(one[0].forgotten_at for one in found)) if moment is not None]
    past = [moment for moment in turns if moment <= now]
    changed_at = max([activity_at or window.midnight, window.midnight, *past])
    until = min([window.next_midnight, *(moment for moment in turns if moment > now)])
    body = body_of(_content(scope, town, shown), changed_at, now)
    return _Rendering(body, (), changed_at, now, until)


def _window(town: Standing, now: datetime) -> _Window:
    zone = ZoneInfo(town.municipality.zone)
    today = now.astimezone(zone).date()
    days_ahead = max((service.max_days_ahead for service in town.services), default=0)
    days = (-PAST_DAYS, 0, 1, days_ahead + 2)
    return _Window(zone, *(midnight(today + timedelta(days=n), zone) for n in days))


@lru_cache(maxsize=4096)
def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the local day begins."""
    return moment_of(day_start(day, zone))


def _appointments(scope: Scope, window: _Window) -> list[list[Row[Any]]]:
    """What the window holds, each with a row for each of its services, by start and uid.

    An appointment that left the scope is among them, as cancelled where it last was.
    """
    here = Appointment.counter_id.in_(scope.counter_ids)
    found = [*db.session.execute(_present(scope, window).where(here))]
    gone = [*db.session.execute(_departed(scope, window).where(~here))]
    last = {row.uid: row.sequence for row in sorted(gone, key=lambda row: row.sequence)}
    found += [row for row in gone if row.sequence == last[row.uid]]
    found.sort(key=lambda row: (row.starts_at, row.uid, row.position or 0))
    return [list(of_one) for _, of_one in groupby(found, key=lambda row: row.uid)]


def _present(scope: Scope, window: _Window) -> Any:
    """Of the cancelled ones those that are shown, or that went out today."""
    one = Appointment
    still_matters = or_(
        one.state == AppointmentState.BOOKED,
        one.starts_at >= window.midnight,
        one.changed_at > window.midnight - TOMBSTONE,
    )
    columns = (one.counter_id, one.sequence, one.state, one.starts_at, one.ends_at, one.changed_at)
    of_window = and_(one.starts_at >= window.starts, one.starts_at < window.ends)
    query: Any = select(*columns).select_from(one)
    return _of_scope(query, scope).where(still_matters, of_window)


def _departed(scope: Scope, window: _Window) -> Any:
    one = Departure
    still_matters = or_(one.starts_at >= window.midnight, one.left_at > window.midnight - TOMBSTONE)
    state = literal(AppointmentState.CANCELLED, Appointment.state.type).label("state")
    columns = (one.counter_id, one.sequence, state, one.starts_at, one.ends_at, one.left_at.label("changed_at"))
    query: Any = select(*columns).select_from(one).join(Appointment, Appointment.id == one.appointment_id)
    return _of_scope(query, scope).where(one.counter_id.in_(scope.counter_ids), still_matters)


def _of_scope(query: Any, scope: Scope) -> Any:
    """With what stands at the booking and its services. The only person in it is a name for initials, if at all."""
    name: Any = Booking.name if scope.detail == Detail.INITIALS else null()
    item = AppointmentService
    query = query.join(Booking, Booking.id == Appointment.booking_id)
    query = query.outerjoin(item, item.appointment_id == Appointment.id)
    query = query.add_columns(Appointment.uid, Booking.made_at, Booking.forgotten_at, Booking.reference)
    query = query.add_columns(name.label("person"), item.position, item.people, item.service_id)
    if scope.service_id is not None:
        its = select(item.appointment_id).where(item.service_id == scope.service_id)
        query = query.where(Appointment.id.in_(its))
    return query


def _gone_at(row: Row[Any], zone: ZoneInfo) -> datetime | None:
    """When a cancelled appointment goes out of the feed; None for one that is booked."""
    if row.state == AppointmentState.BOOKED:
        return None
    day_after = row.starts_at.astimezone(zone).date() + timedelta(days=1)
    cancelled_at: datetime = row.changed_at
    return max(midnight(day_after, zone), cancelled_at + TOMBSTONE)


def _content(scope: Scope, town: Standing, appointments: Sequence[Sequence[Row[Any]]]) -> bytes:
    language = town.municipality.language
    with force_locale(locale_of(language)):
        at = {id: town.counters[id] for id in {one[0].counter_id for one in appointments} if id in town.counters}
        places = {id: place(counter.desk.office, counter.number, language) for id, counter in at.items()}
        busy: str = gettext("Busy")
        entries = []
        for one in appointments:
            what = busy if scope.detail == Detail.BUSY else _what(one, town)
            entries.append(_entry(one, what, town.municipality.zone, places.get(one[0].counter_id, "")))
        return calendar_of(scope.title, town.municipality.zone, entries)


def _entry(rows: Sequence[Row[Any]], what: str, zone: str, where: str) -> Entry:
    """Erasure changes what is shown without a change of the appointment, so it counts as one."""
    one = rows[0]
    is_cancelled = one.state == AppointmentState.CANCELLED
    return Entry(
        uid=one.uid,
        sequence=one.sequence,
        is_cancelled=is_cancelled,
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        made_at=one.made_at,
        changed_at=max(one.changed_at, one.forgotten_at or one.changed_at),
        zone=zone,
        summary=cancelled_summary(what) if is_cancelled else what,
        location=where,
    )


def _what(rows: Sequence[Row[Any]], town: Standing) -> str:
    """ "A. P. · Reispas aanvragen ×2 · K7 4P 9XA"; for a sensitive service the desk is named instead."""
    counts = [f" ×{row.people}" if row.people and row.people > 1 else "" for row in rows]
    services = " + ".join(_service(row, town) + count for row, count in zip(rows, counts, strict=True))
    reference = grouped(rows[0].reference) if rows[0].reference else ""
    return " · ".join(part for part in (initials(rows[0].person or ""), services, reference) if part)


def _service(row: Row[Any], town: Standing) -> str:
    service, counter = town.services_by_id.get(row.service_id), town.counters.get(row.counter_id)
    language = town.municipality.language
    text = next((one for one in service.texts if one.language == language), None) if service else None
    if service is None or service.is_sensitive or text is None:
        return counter.desk.name(language) if counter else ""
    return text.name


def initials(name: str) -> str:
    """ "A. P." for Alice van Peeters: the first letters of the first and the last word."""
    words: Iterable[str] = (next((c for c in word if c.isalpha()), "") for word in name.split())
    letters = [letter.upper() for letter in words if letter]
    return " ".join(f"{letter}." for letter in (letters[:1] + letters[1:][-1:]))
