"""The appointments of a feed, as bytes: of a counter, a desk, an office, a service, or of somebody's own desks.

A feed is a snapshot without METHOD (RFC 5545 3.7.2). The same rows give the same bytes in every process, so the ETag
is a hash of them. Contacts are not even read from the database, and names only where a feed shows initials.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from flask_babel import force_locale, gettext
from sqlalchemy import Engine, Row, update

from booking.appointments.models import AppointmentState
from booking.appointments.references import grouped
from booking.calendars.body import FeedBody, Shelf, body_of, calendar_of, settled
from booking.calendars.entry import Entry, cancelled_summary, event_lines, place
from booking.calendars.models import Detail, Feed
from booking.calendars.pace import Pace
from booking.calendars.rows import Rows, departed, details, gone_at, news, present, window
from booking.calendars.subscriptions import Scope
from booking.db import db
from booking.spoken import locale_of
from booking.townhall.revisions import is_raised_here
from booking.townhall.standing import Standing


class Cancelled(StrEnum):
    """What a feed does with cancelled appointments. Some clients show them for ever; `?cancelled=hide` spares them."""

    SHOWN = "show"
    HIDDEN = "hide"


@dataclass(frozen=True)
class _Piece:
    """One appointment as rendered, and when the clock will change that: it goes out, or has been erased."""

    order: tuple[datetime, str]  # when it starts, and its UID
    lines: bytes
    gone_at: datetime | None
    forgotten_at: datetime | None


@dataclass(frozen=True)
class _Rendering:
    """A body as it was at these numbers; true from `since` until the clock changes it: midnight, or an erasure."""

    body: FeedBody
    numbers: tuple[int, ...]  # the revision of the municipality, and the activities of the offices
    pieces: Mapping[Hashable, _Piece]  # by the rows they were made of
    changed_at: datetime
    since: datetime
    until: datetime


_renderings: WeakKeyDictionary[Engine, Shelf[tuple[Scope, Cancelled], _Rendering]] = WeakKeyDictionary()


def feed_body(
    scope: Scope, town: Standing, activities: Mapping[int, int], now: datetime, show: Cancelled = Cancelled.SHOWN
) -> FeedBody:
    """The appointments of the scope, some weeks back and as far ahead as can be booked.

    `activities` are those of the offices as this request has read them: while they are as they were, no database is
    asked, and then only rows that differ are rendered. What was cancelled, or moved to where the feed does not reach,
    stays as cancelled until its day is over, and for two days at least.
    """
    numbers = (town.revision, *(activities.get(id, 0) for id in scope.office_ids))
    kept = _renderings.setdefault(db.engine, Shelf())
    found = kept.get((scope, show))
    if found is None or found.numbers != numbers or not found.since <= now < found.until:
        is_known = found is not None and found.numbers[0] == town.revision
        known = found.pieces if found is not None and is_known else {}
        found = replace(_render(scope, town, now, show, known), numbers=numbers)
        if not is_raised_here():
            kept.put((scope, show), found, 2 * len(found.body.content))
    return replace(found.body, last_modified=settled(found.changed_at, now))


def note_fetches(feed_id: int, count: int, by: str, now: datetime) -> None:
    """Counts fetches, in a writing transaction of its own (`begin_write`). The caller commits."""
    db.session.execute(
        update(Feed).where(Feed.id == feed_id).values(fetched_at=now, fetched_by=by, fetches=Feed.fetches + count),
        execution_options={"synchronize_session": False},
    )


def _render(
    scope: Scope, town: Standing, now: datetime, show: Cancelled, known: Mapping[Hashable, _Piece]
) -> _Rendering:
    """Reads with at most four queries, and renders what is not known yet.

    When the offices last changed is read first: what changes in between is rendered now, and once more at the next
    fetch.
    """
    latest, seen = news(scope), window(town, now)
    found = present(scope, seen)
    gone = departed(scope, seen) if latest.has_departures else []
    pieces = _pieces(found, gone, scope, town, known)
    ordered = sorted(pieces.values(), key=attrgetter("order"))
    shown = [one.lines for one in ordered if one.gone_at is None or (show == Cancelled.SHOWN and one.gone_at > now)]
    turns = [moment for one in ordered for moment in (one.gone_at, one.forgotten_at) if moment]
    past = [moment for moment in turns if moment <= now]
    changed_at = max([latest.activity_at or seen.midnight, seen.midnight, *past])
    until = min([seen.next_midnight, *(moment for moment in turns if moment > now)])
    body = body_of(calendar_of(scope.title, seen.zone.key, shown), changed_at, now)
    return _Rendering(body, (), pieces, changed_at, now, until)


def _pieces(
    found: Sequence[Row[Any]], gone: Sequence[Rows], scope: Scope, town: Standing, known: Mapping[Hashable, _Piece]
) -> Mapping[Hashable, _Piece]:
    """The appointments by what tells whether they are as they were; what is known is not rendered again."""
    unknown = details([one.id for one in found if one not in known], scope)
    wanted: dict[Hashable, Rows | None] = {**{one: unknown.get(one.id) for one in found}, **{one: one for one in gone}}
    pieces, pace = {}, Pace(len(unknown))
    with force_locale(locale_of(town.municipality.language)):
        places = _places(town, scope)
        for key, rows in wanted.items():
            piece = known.get(key)
            if piece is None and rows:
                piece = _piece(rows, scope, town, places)
                pace.step()
            if piece is not None:
                pieces[key] = piece
    return pieces


def _piece(rows: Rows, scope: Scope, town: Standing, places: Mapping[int, str]) -> _Piece:
    one, zone = rows[0], town.municipality.zone
    lines = event_lines(_entry(rows, _what(rows, scope, town), zone, places))
    return _Piece((one.starts_at, one.uid), lines, gone_at(one, ZoneInfo(zone)), one.forgotten_at)


def _places(town: Standing, scope: Scope) -> dict[int, str]:
    """Where each counter is. In the locale of the moment."""
    counters = (town.counters[id] for id in scope.counter_ids)
    return {one.id: place(one.desk.office, one.number, town.municipality.language) for one in counters}


def _entry(rows: Rows, what: str, zone: str, places: Mapping[int, str]) -> Entry:
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
        location=places.get(one.counter_id, ""),
    )


def _what(rows: Rows, scope: Scope, town: Standing) -> str:
    """ "A. P. · Reispas aanvragen ×2 · K7 4P 9XA"; for a sensitive service the desk is named instead."""
    if scope.detail == Detail.BUSY:
        busy: str = gettext("Busy")
        return busy
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
