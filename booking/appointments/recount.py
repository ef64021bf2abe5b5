"""Counts again what was sold: ticks against appointments, appointments against hours, messages against both.

It reads only, in one snapshot of the database, window by window, so that an office of any size fits in memory.
Nothing is put right by itself: people decide what becomes of a finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from booking.appointments.findings import Counted, Finding, Flaw
from booking.appointments.models import Appointment, AppointmentState, Booking, Hold, Occupancy
from booking.appointments.timelines import load_lines
from booking.db import db, one_moment
from booking.outbox.models import Kind, Message, MessageState
from booking.slots.clock import day_start, moment_of, tick_from, tick_of
from booking.slots.timeline import between
from booking.townhall.hours import Horizon
from booking.townhall.models import Counter, Desk, Municipality, Office

LOOK_BACK = timedelta(days=30)  # what happened earlier can no longer be put right, and would be found for ever
WINDOW = 28  # local days of one office at a time
NAMED_TICKS = 12  # of each finding


Part = Callable[[], Counted]
Progress = Callable[[Sequence[Part]], Iterable[Part]]


def recount(municipality_id: int, now: datetime, progress: Progress = iter) -> Counted:
    """Counts one municipality, part by part, in a transaction of its own that ends with it.

    Raises RuntimeError when a transaction has begun already: it would see another moment.
    """
    total = Counted()
    with one_moment():
        municipality = db.session.get_one(Municipality, municipality_id)
        for part in progress(list(_parts(municipality, now))):
            total.add(part())
    return total


def _parts(municipality: Municipality, now: datetime) -> Iterator[Part]:
    yield partial(_count_town, municipality, now)
    zone = ZoneInfo(municipality.zone)
    for office in municipality.offices:
        counters = select(Counter.id).join(Desk).where(Desk.office_id == office.id)
        ids = tuple(db.session.scalars(counters.order_by(Counter.id)))
        first = (now - LOOK_BACK).astimezone(zone).date()
        yield partial(_count_loose_ticks, ids, day_start(first, zone), now)
        farthest = db.session.scalar(select(func.max(Appointment.starts_at)).where(Appointment.counter_id.in_(ids)))
        last = farthest.astimezone(zone).date() if farthest else first - timedelta(days=1)
        while first <= last:
            yield partial(_count_window, _Window(office, ids, Horizon(first, WINDOW, zone), now))
            first += timedelta(days=WINDOW)


# ---- an office: its appointments, the ticks they should have, and the hours they should keep


@dataclass(frozen=True)
class _Window:
    """The appointments that begin at an office in a stretch of days, seen from `now`."""

    office: Office
    counter_ids: tuple[int, ...]
    horizon: Horizon
    now: datetime

    @property
    def has(self) -> ColumnElement[bool]:
        return and_(
            Appointment.counter_id.in_(self.counter_ids),
            Appointment.starts_at >= moment_of(self.horizon.base),
            Appointment.starts_at < moment_of(self.horizon.end),
        )


class _Plan(NamedTuple):
    """What an appointment says of itself."""

    id: int
    counter_id: int
    state: AppointmentState
    starts_at: datetime
    ends_at: datetime
    is_exception: bool


class _Loose(NamedTuple):
    """A tick, and what its owner says, if there is one."""

    counter_id: int
    tick: int
    appointment_id: int | None
    hold_id: int | None
    expires_at: datetime | None
    state: AppointmentState | None  # of the appointment
    held_at: int | None  # the counter of the hold
    held_from: datetime | None


_PLANS = select(*(getattr(Appointment, name) for name in _Plan._fields))
Place = tuple[int, int]  # a counter's id and a tick


def _count_window(window: _Window) -> Counted:
    found = [_Plan(*row) for row in db.session.execute(_PLANS.where(window.has))]
    places: dict[int, list[Place]] = defaultdict(list)
    owned = select(Appointment.id, Occupancy.counter_id, Occupancy.tick).join_from(Appointment, Occupancy)
    for id, counter_id, tick in db.session.execute(owned.where(window.has)):
        places[id].append((counter_id, tick))
    findings = list(_overlaps(window))
    for one in found:
        findings += _wrong_ticks(one, places[one.id], window.now)
    findings += _outside_hours(window, found)
    return Counted(len(found), sum(map(len, places.values())), findings)


def _overlaps(window: _Window) -> Iterator[Finding]:
    """Pairs of booked appointments whose times meet, told from the appointments alone."""
    other = aliased(Appointment)
    later = or_(other.starts_at > Appointment.starts_at, other.id > Appointment.id)
    meets = and_(other.starts_at >= Appointment.starts_at, other.starts_at < Appointment.ends_at, later)
    booked = and_(Appointment.state == AppointmentState.BOOKED, other.state == AppointmentState.BOOKED)
    pairs = select(Appointment.id, other.id, Appointment.counter_id, other.starts_at).join(
        other, and_(other.counter_id == Appointment.counter_id, meets)
    )
    for one, two, counter_id, at in db.session.execute(pairs.where(window.has, booked).order_by(Appointment.id)):
        yield Finding(Flaw.OVERLAP, {"appointment": [one, two]}, counter_id, at)


def _wrong_ticks(one: _Plan, places: Sequence[Place], now: datetime) -> Iterator[Finding]:
    """Ticks that the appointment lacks or should not have. Behind its end they are the buffer it was booked with,
    which may have been set otherwise since; what is over may have ticks or not."""
    if one.state == AppointmentState.CANCELLED:
        yield from _of_places(Flaw.CANCELLED_TICKS, {"appointment": [one.id]}, places)
        return
    visit = range(tick_of(one.starts_at), tick_from(one.ends_at))
    own = {tick for counter_id, tick in places if counter_id == one.counter_id}
    missing = sorted(set(visit) - own) if one.ends_at > now else []
    yield from _of_places(Flaw.MISSING_TICKS, {"appointment": [one.id]}, [(one.counter_id, tick) for tick in missing])
    kept = _unbroken(visit, own)
    stray = [(counter, tick) for counter, tick in places if counter != one.counter_id or tick not in kept]
    yield from _of_places(Flaw.STRAY_TICKS, {"appointment": [one.id]}, stray)


def _unbroken(stretch: range, ticks: set[int]) -> range:
    """The stretch and the ticks that follow it without a gap."""
    end = stretch.stop
    while end in ticks:
        end += 1
    return range(stretch.start, end)


def _of_places(flaw: Flaw, ids: dict[str, list[int]], places: Sequence[Place]) -> Iterator[Finding]:
    """One finding for all the places, where there are any; the first ticks are named."""
    if places:
        counter_id, first = min(places)
        ticks = sorted(tick for _counter, tick in places)[:NAMED_TICKS]
        yield Finding(flaw, {**ids, "tick": ticks}, counter_id, moment_of(first))


def _outside_hours(window: _Window, found: Iterable[_Plan]) -> Iterator[Finding]:
    """Booked appointments still to come that reach out of the hours of their counter, or into a closure."""
    coming = [
        one
        for one in found
        if one.state == AppointmentState.BOOKED and one.starts_at > window.now and not one.is_exception
    ]
    if not coming:
        return
    first, days, zone = window.horizon.first_day, window.horizon.days, window.horizon.zone
    horizon = Horizon(first, days + 2, zone)  # a visit may run past midnight
    lines = load_lines(window.office, window.office.revision, horizon, window.now)
    opening = {line.counter_id: line.opening.open for line in lines.counters}
    for one in coming:
        visit = between(tick_of(one.starts_at) - horizon.base, tick_from(one.ends_at) - horizon.base)
        if visit & ~opening[one.counter_id]:
            yield Finding(Flaw.OUTSIDE_HOURS, {"appointment": [one.id]}, one.counter_id, one.starts_at)


# ---- an office: the ticks of no appointment that a window counts


def _count_loose_ticks(counter_ids: Sequence[int], first: int, now: datetime) -> Counted:
    """Ticks of holds, of freed slots that come back later, of nobody, and of what was over before the windows begin."""
    query = (
        select(Occupancy.counter_id, Occupancy.tick, Occupancy.appointment_id, Occupancy.hold_id, Occupancy.expires_at)
        .add_columns(Appointment.state, Hold.counter_id, Hold.starts_at)
        .outerjoin(Appointment, Appointment.id == Occupancy.appointment_id)
        .outerjoin(Hold, Hold.id == Occupancy.hold_id)
        .where(Occupancy.counter_id.in_(counter_ids), Occupancy.tick >= first)
        .where(or_(Occupancy.expires_at.is_(None), Occupancy.expires_at > now))
    )
    is_over = and_(Appointment.starts_at < moment_of(first), Occupancy.tick >= tick_of(now))
    owners: dict[tuple[int | None, int | None], list[_Loose]] = defaultdict(list)
    count = 0
    for found in db.session.execute(query.where(or_(Appointment.id.is_(None), is_over))):
        row = _Loose(*found)
        count += 1
        if row.expires_at is None or row.hold_id is not None:
            owners[row.appointment_id, row.hold_id].append(row)
    findings = (finding for (id, hold_id), rows in owners.items() for finding in _misplaced(id, hold_id, rows))
    return Counted(0, count, list(findings))


def _misplaced(appointment_id: int | None, hold_id: int | None, rows: Sequence[_Loose]) -> Iterator[Finding]:
    """What is wrong with the ticks of one owner, who may not exist."""
    places = [(row.counter_id, row.tick) for row in rows]
    named = {"appointment": appointment_id, "hold": hold_id}
    ids = {name: [id] for name, id in named.items() if id is not None}
    first = rows[0]
    if first.state is not None:
        is_booked = first.state == AppointmentState.BOOKED
        yield from _of_places(Flaw.STRAY_TICKS if is_booked else Flaw.CANCELLED_TICKS, ids, places)
    elif first.held_from is None:
        yield from _of_places(Flaw.ORPHAN_TICKS, ids, places)
    else:
        start = tick_of(first.held_from)
        kept = _unbroken(range(start, start), {tick for counter_id, tick in places if counter_id == first.held_at})
        stray = [(counter, tick) for counter, tick in places if counter != first.held_at or tick not in kept]
        yield from _of_places(Flaw.STRAY_HOLD, ids, stray)


# ---- the town: its bookings and messages


def _count_town(municipality: Municipality, now: datetime) -> Counted:
    own = Booking.municipality_id == municipality.id
    findings = [*_wrong_bookings(municipality, own), *_wrong_messages(municipality), *_untold(own, now)]
    return Counted(findings=findings)


def _wrong_bookings(municipality: Municipality, own: ColumnElement[bool]) -> Iterator[Finding]:
    empty = select(Booking.id).outerjoin(Booking.appointments).where(own, Appointment.id.is_(None))
    for id in db.session.scalars(empty.order_by(Booking.id)):
        yield Finding(Flaw.EMPTY_BOOKING, {"booking": [id]})
    placed = select(Appointment.id, Appointment.booking_id, Appointment.counter_id, Appointment.starts_at)
    placed = placed.outerjoin(Booking, Booking.id == Appointment.booking_id)
    placed = placed.outerjoin(Counter, Counter.id == Appointment.counter_id)
    placed = placed.outerjoin(Desk, Desk.id == Counter.desk_id).outerjoin(Office, Office.id == Desk.office_id)
    placed = placed.order_by(Appointment.id)
    here = Office.municipality_id == municipality.id
    for id, _booking_id, counter_id, at in db.session.execute(placed.where(here, Booking.id.is_(None))):
        yield Finding(Flaw.LONE_APPOINTMENT, {"appointment": [id]}, counter_id, at)
    elsewhere = or_(Office.id.is_(None), Office.municipality_id != municipality.id)
    for id, booking_id, counter_id, at in db.session.execute(placed.where(own, elsewhere)):
        yield Finding(Flaw.FOREIGN_COUNTER, {"appointment": [id], "booking": [booking_id]}, counter_id, at)


def _wrong_messages(municipality: Municipality) -> Iterator[Finding]:
    about = select(Message.id, Message.subject_id, Appointment.counter_id, Appointment.starts_at)
    about = about.outerjoin(Appointment, Appointment.id == Message.subject_id)
    about = about.where(Message.municipality_id == municipality.id, Message.subject_kind == "appointment")
    about = about.order_by(Message.id)
    for id, subject_id, _counter_id, _at in db.session.execute(about.where(Appointment.id.is_(None))):
        yield Finding(Flaw.LOST_MESSAGE, {"message": [id], "appointment": [subject_id]})
    # Whoever changes an appointment drops what waits. A message that was just being tried is put back instead,
    # and dropped by its next try: so those that were tried do not count.
    waits = and_(Message.state == MessageState.QUEUED, Message.attempts == 0)
    is_over = and_(Appointment.state == AppointmentState.CANCELLED, Message.kind != Kind.CANCELLATION)
    untrue = or_(Message.sequence != Appointment.sequence, is_over)
    for id, subject_id, counter_id, at in db.session.execute(about.where(waits, untrue)):
        yield Finding(Flaw.STALE_MESSAGE, {"message": [id], "appointment": [subject_id]}, counter_id, at)


def _untold(own: ColumnElement[bool], now: datetime) -> Iterator[Finding]:
    """Appointments still to come of whom a confirmation could reach and for whom none was ever written."""
    told = exists().where(
        Message.subject_kind == "appointment",
        Message.subject_id == Appointment.id,
        Message.kind == Kind.CONFIRMATION,
    )
    reached = or_(Booking.email.is_not(None), Booking.phone.is_not(None))
    coming = and_(Appointment.state == AppointmentState.BOOKED, Appointment.ends_at > now)
    query = select(Appointment.id, Appointment.counter_id, Appointment.starts_at).join(Appointment.booking)
    for id, counter_id, at in db.session.execute(query.where(own, coming, reached, ~told).order_by(Appointment.id)):
        yield Finding(Flaw.NO_CONFIRMATION, {"appointment": [id]}, counter_id, at)
