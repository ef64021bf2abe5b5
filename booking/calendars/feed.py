"""The feed of a desk's appointments that calendar clients subscribe to: its bytes, its validators, its secret address.

A feed is a snapshot without METHOD (RFC 5545 3.7.2). The same rows give the same bytes in every process, so the ETag
is a hash of them. Nothing that names or reaches a citizen is even read from the database.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from flask_babel import force_locale
from icalendar import vDuration, vText
from sqlalchemy import Engine, Row, and_, func, or_, select, update
from sqlalchemy.orm import joinedload

from booking import links
from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking
from booking.appointments.references import grouped
from booking.calendars.entry import Entry, cancelled_summary, event_lines, new_calendar, one_line, place
from booking.calendars.models import Feed
from booking.db import db
from booking.slots.clock import day_start, moment_of
from booking.townhall.models import Counter, Desk, Municipality, Service, ServiceText
from booking.townhall.revisions import is_raised_here

PURPOSE = "feed"
PAST_DAYS = 30
TOMBSTONE = timedelta(hours=48)  # how long a cancelled appointment is shown at least
SETTLING = timedelta(minutes=1)
SERVED_FOR = timedelta(hours=24)
KEPT_BODIES = 300
KEPT_BYTES = 64_000_000
REFRESH = timedelta(hours=1)
END = b"END:VCALENDAR\r\n"
_COLUMNS: tuple[Any, ...] = (
    *(Appointment.uid, Appointment.sequence, Appointment.state, Appointment.starts_at, Appointment.ends_at),
    *(Appointment.changed_at, Booking.made_at, Booking.forgotten_at, Booking.reference, Counter.number),
    *(AppointmentService.position, AppointmentService.people, Service.is_sensitive, ServiceText.name.label("service")),
)
_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class FeedUnknown(Exception):
    """We never gave out this token, or not for this municipality: 404, at which clients keep what they have."""


class FeedRevoked(Exception):
    """A genuine token that has been replaced: 410, at which clients stop asking."""


class Cancelled(StrEnum):
    """What a feed does with cancelled appointments. Some clients show them for ever; `?cancelled=hide` spares them."""

    SHOWN = "show"
    HIDDEN = "hide"


@dataclass(frozen=True)
class FeedBody:
    """The bytes of a feed with their validators: a strong ETag in its quotes, and a moment in whole seconds."""

    content: bytes
    etag: str
    last_modified: datetime


@dataclass(frozen=True)
class _Rendering:
    """A body as it was at `activity`; true from `since` until the clock changes it: midnight, or a tombstone's end."""

    body: FeedBody
    activity: int
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


class Shelf(Generic[K, V]):
    """What was put in last: at most KEPT_BODIES things, of KEPT_BYTES in all; the oldest go out. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._things: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0

    def get(self, key: K) -> V | None:
        found = self._things.get(key)
        return found[0] if found else None

    def put(self, key: K, thing: V, size: int) -> None:
        with self._lock:
            self._drop(key)
            self._things[key] = (thing, size)
            self._size += size
            while self._things and (len(self._things) > KEPT_BODIES or self._size > KEPT_BYTES):
                self._drop(next(iter(self._things)))

    def drop(self, key: K) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: K) -> None:
        self._size -= self._things.pop(key, (None, 0))[1]


@dataclass(frozen=True)
class _Memory:
    """What this process keeps for one database: renderings by desk, genuine tokens, and what it served to whom."""

    renderings: Shelf[tuple[int, Cancelled], _Rendering] = field(default_factory=Shelf)
    tokens: Shelf[str, tuple[int, int]] = field(default_factory=Shelf)  # to the feed's id and generation
    served: Shelf[tuple[int, int], tuple[FeedBody, datetime]] = field(default_factory=Shelf)


_memories: WeakKeyDictionary[Engine, _Memory] = WeakKeyDictionary()


def feed_token(keys: links.Keys, feed: Feed) -> str:
    """The secret part of the feed's address; raising `feed.generation` revokes it."""
    return links.token(keys, PURPOSE, feed.id, feed.generation)


def feed_for(keys: links.Keys, municipality_id: int, token: str) -> Feed:
    """The feed of this token with its desk and office, in one read by primary key. Raises FeedUnknown, FeedRevoked."""
    claimed = links.claim(keys, PURPOSE, token)
    if claimed is None:
        raise FeedUnknown
    feed = db.session.scalar(
        select(Feed)
        .where(Feed.id == claimed.id, Feed.municipality_id == municipality_id)
        .options(joinedload(Feed.desk, innerjoin=True).joinedload(Desk.office, innerjoin=True))
    )
    if feed is None or claimed.generation > feed.generation:
        raise FeedUnknown
    if claimed.generation < feed.generation:
        _memory().tokens.drop(token)
        raise FeedRevoked
    _memory().tokens.put(token, (feed.id, feed.generation), len(token))
    return feed


def feed_body(feed: Feed, now: datetime, show: Cancelled = Cancelled.SHOWN) -> FeedBody:
    """The desk's appointments from PAST_DAYS ago to a day past the farthest that can be booked.

    Kept by the office's activity: an unchanged feed costs no query after `feed_for`. Cancelled appointments stay, as
    such, until their day is over, and at least for TOMBSTONE.
    """
    activity, memory = feed.desk.office.activity, _memory()
    found = memory.renderings.get((feed.desk_id, show))
    if found is None or found.activity != activity or not found.since <= now < found.until:
        found = _render(feed.desk, now, show)
        if not is_raised_here():
            memory.renderings.put((feed.desk_id, show), found, len(found.body.content))
    body = replace(found.body, last_modified=_settled(found.body.last_modified, now))
    memory.served.put((feed.id, feed.generation), (body, now), len(body.content))
    return body


def last_served(token: str, now: datetime) -> FeedBody | None:
    """What this process served for this token within a day: for when the database is away. Asks no database."""
    key = _memory().tokens.get(token)
    found = _memory().served.get(key) if key else None
    if found is None:
        return None
    body, served_at = found
    return body if now - served_at <= SERVED_FOR else None


def not_modified(body: FeedBody, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Whether a client with these request headers has the body already (RFC 9110 13.1.2, 13.1.3, 13.2.2).

    If-None-Match may be a list or `*`, is compared weakly, and counts alone where it is given. Never raises.
    """
    if if_none_match is not None:
        return if_none_match.strip() == "*" or body.etag in _TAG.findall(if_none_match)
    since = _http_date(if_modified_since or "")
    return since is not None and body.last_modified <= since


def note_fetch(feed_id: int, now: datetime, count: int = 1) -> None:
    """Counts fetches, in a writing transaction of its own (`begin_write`). The caller commits."""
    db.session.execute(
        update(Feed).where(Feed.id == feed_id).values(fetched_at=now, fetches=Feed.fetches + count),
        execution_options={"synchronize_session": False},
    )


def _memory() -> _Memory:
    return _memories.setdefault(db.engine, _Memory())


def _settled(changed_at: datetime, now: datetime) -> datetime:
    """The Last-Modified to tell: never a moment at which another change may still be under way.

    A client that asks by date only would otherwise miss for ever a change of the same second as the one it has seen,
    or one that began before it and was committed after it.
    """
    return min(changed_at, now - SETTLING).astimezone(UTC).replace(microsecond=0)


def _http_date(text: str) -> datetime | None:
    """The moment of an HTTP date in any of its three forms (RFC 9110 5.6.7), or None."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _render(desk: Desk, now: datetime, show: Cancelled) -> _Rendering:
    """Reads and renders the desk's appointments: two queries, however many there are.

    The activity is read before them: what changes in between is rendered now, and once more at the next fetch.
    """
    activity, activity_at = desk.office.activity, desk.office.activity_at
    municipality, window = _municipality_and_window(desk.office.municipality_id, now)
    found = _appointment_rows(desk.id, municipality.language, window)
    ends = [_gone_at(one[0], window.zone) for one in found]
    shown = [
        one
        for one, gone_at in zip(found, ends, strict=True)
        if gone_at is None or (show == Cancelled.SHOWN and gone_at > now)
    ]
    content = _content(desk, municipality, shown)
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    turns = [moment for moment in (*ends, *(one[0].forgotten_at for one in found)) if moment is not None]
    changed_at = max([activity_at, window.midnight, *(moment for moment in turns if moment <= now)])
    until = min([window.next_midnight, *(moment for moment in turns if moment > now)])
    return _Rendering(FeedBody(content, etag, changed_at), activity, now, until)


def _municipality_and_window(municipality_id: int, now: datetime) -> tuple[Municipality, _Window]:
    farthest = (
        select(func.max(Service.max_days_ahead)).where(Service.municipality_id == Municipality.id).scalar_subquery()
    )
    query = select(Municipality, farthest).where(Municipality.id == municipality_id)
    municipality, days_ahead = db.session.execute(query).one()
    zone = ZoneInfo(municipality.zone)
    today = now.astimezone(zone).date()
    days = (-PAST_DAYS, 0, 1, (days_ahead or 0) + 2)
    return municipality, _Window(zone, *(_midnight(today + timedelta(days=n), zone) for n in days))


@lru_cache(maxsize=4096)
def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the local day begins."""
    return moment_of(day_start(day, zone))


def _appointment_rows(desk_id: int, language: str, window: _Window) -> list[list[Row[Any]]]:
    """The appointments of the window, each with a row for each of its services, by start and uid.

    Columns, not objects: no contact is read. Of the cancelled ones those that are shown, or that went out today.
    """
    text = and_(ServiceText.service_id == Service.id, ServiceText.language == language)
    still_matters = or_(
        Appointment.state == AppointmentState.BOOKED,
        Appointment.starts_at >= window.midnight,
        Appointment.changed_at > window.midnight - TOMBSTONE,
    )
    query = (
        select(*_COLUMNS)
        .select_from(Appointment)
        .join(Appointment.counter)
        .join(Appointment.booking)
        .outerjoin(Appointment.items)
        .outerjoin(AppointmentService.service)
        .outerjoin(ServiceText, text)
        .where(Counter.desk_id == desk_id, still_matters)
        .where(Appointment.starts_at >= window.starts, Appointment.starts_at < window.ends)
    )
    found: Iterable[Row[Any]] = db.session.execute(query)
    rows = sorted(found, key=lambda row: (row.starts_at, row.uid, row.position))
    return [list(of_one) for _, of_one in groupby(rows, key=lambda row: row.uid)]


def _gone_at(row: Row[Any], zone: ZoneInfo) -> datetime | None:
    """When a cancelled appointment goes out of the feed; None for one that is booked."""
    if row.state == AppointmentState.BOOKED:
        return None
    day_after = row.starts_at.astimezone(zone).date() + timedelta(days=1)
    cancelled_at: datetime = row.changed_at
    return max(_midnight(day_after, zone), cancelled_at + TOMBSTONE)


def _content(desk: Desk, municipality: Municipality, appointments: Sequence[Sequence[Row[Any]]]) -> bytes:
    language, zone = municipality.language, municipality.zone
    desk_name, office_name = desk.name(language), desk.office.name(language)
    with force_locale(language):
        places = {number: place(desk.office, number, language) for number in {one[0].number for one in appointments}}
        entries = [_entry(one, desk_name, zone, places) for one in appointments]
    head = _frame(f"{desk_name} · {office_name}", zone).removesuffix(END)
    return b"".join([head, *map(event_lines, entries), END])


def _frame(name: str, zone: str) -> bytes:
    """The calendar without its events (RFC 7986 5.1, 5.7, and what Outlook and Apple read instead)."""
    calendar = new_calendar(zone)
    for property_name in ("name", "x-wr-calname"):
        calendar.add(property_name, vText(one_line(name)))  # bare strings are not escaped here (icalendar 7.3)
    calendar.add("x-wr-timezone", vText(zone))
    calendar.add("refresh-interval", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(REFRESH))
    frame: bytes = calendar.to_ical()
    return frame


def _entry(rows: Sequence[Row[Any]], desk_name: str, zone: str, places: dict[int, str]) -> Entry:
    """Erasure changes what is shown without a change of the appointment, so it counts as one."""
    one, what = rows[0], _what(rows, desk_name)
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
        location=places[one.number],
    )


def _what(rows: Sequence[Row[Any]], desk_name: str) -> str:
    """ "Reispas aanvragen ×2 · K7 4P 9XA"; for a sensitive service the desk is named instead."""
    names = [desk_name if row.is_sensitive or not row.service else row.service for row in rows]
    counts = [f" ×{row.people}" if row.people and row.people > 1 else "" for row in rows]
    services = " + ".join(name + count for name, count in zip(names, counts, strict=True))
    return f"{services} · {grouped(rows[0].reference)}" if rows[0].reference else services
