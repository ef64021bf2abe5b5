"""What a feed reads of its appointments: columns, not objects, by statements that are made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import DateTime, Row, String, and_, bindparam, func, literal, null, or_, select, type_coerce

from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking, Departure
from booking.calendars.models import Detail
from booking.calendars.subscriptions import Scope
from booking.db import UtcDateTime, run
from booking.slots.clock import day_start, moment_of
from booking.townhall.models import Office
from booking.townhall.standing import Standing

PAST_DAYS = 30
AT_ONCE = 500  # ids in one statement
TOMBSTONE = timedelta(hours=48)  # how long a cancelled appointment is shown at least

Rows = tuple[Row[Any], ...]  # of one appointment, one for each of its services


@dataclass(frozen=True)
class Window:
    """The stretch of appointments that a feed shows, and the local day of now within it."""

    zone: ZoneInfo
    starts: datetime
    midnight: datetime
    next_midnight: datetime
    ends: datetime


def window(town: Standing, now: datetime) -> Window:
    """From PAST_DAYS ago to a day past the farthest that can be booked."""
    zone = ZoneInfo(town.municipality.zone)
    today = now.astimezone(zone).date()
    days_ahead = max((service.max_days_ahead for service in town.services), default=0)
    days = (-PAST_DAYS, 0, 1, days_ahead + 2)
    return Window(zone, *(midnight(today + timedelta(days=n), zone) for n in days))


@lru_cache(maxsize=4096)
def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the local day begins."""
    return moment_of(day_start(day, zone))


@dataclass(frozen=True)
class News:
    """What one glance tells: when an office of the scope last changed, and whether anything ever left the scope."""

    activity_at: datetime | None
    has_departures: bool


def news(scope: Scope) -> News:
    activity_at, has_departures = run(_NEWS, {"offices": scope.office_ids, "counters": list(scope.counter_ids)}).one()
    return News(activity_at, bool(has_departures))


def present(scope: Scope, seen: Window) -> list[Row[Any]]:
    """Of each appointment of the window its id and what tells whether it is as it was.

    Whoever changes what a calendar shows of an appointment gives it another `changed_at`. Moments are as the database
    gives them: for comparing only. Of the cancelled ones there are those that are shown, or that went out today.
    """
    found: list[Row[Any]] = run(_present(*_kind(scope)), _values(scope, seen)).all()
    return found


def details(ids: Sequence[int], scope: Scope) -> dict[int, Rows]:
    """What is shown of these appointments, by id."""
    found: dict[int, Rows] = {}
    statement = _details(_kind(scope)[0])
    for n in range(0, len(ids), AT_ONCE):
        rows = run(statement, {"ids": ids[n : n + AT_ONCE]}).all()
        found |= {id: tuple(of_one) for id, of_one in groupby(rows, key=_ID)}
    return found


def departed(scope: Scope, seen: Window) -> list[Rows]:
    """The appointments that left the scope, each as cancelled where it last was."""
    gone: list[Row[Any]] = run(_departed(*_kind(scope)), _values(scope, seen)).all()
    last = {row.id: row.sequence for row in gone}  # the highest comes last
    return [tuple(of_one) for _, of_one in groupby((row for row in gone if row.sequence == last[row.id]), key=_ID)]


def gone_at(row: Row[Any], zone: ZoneInfo) -> datetime | None:
    """When a cancelled appointment goes out of the feed; None for one that is booked."""
    if row.state == AppointmentState.BOOKED:
        return None
    day_after = row.starts_at.astimezone(zone).date() + timedelta(days=1)
    cancelled_at: datetime = row.changed_at
    return max(midnight(day_after, zone), cancelled_at + TOMBSTONE)


_ID = attrgetter("id")
_COUNTERS: Any = bindparam("counters", expanding=True)
_MIDNIGHT, _TOMBSTONES = (bindparam(name, type_=UtcDateTime()) for name in ("midnight", "tombstones"))
_NEWS = select(
    select(func.max(Office.activity_at)).where(Office.id.in_(bindparam("offices", expanding=True))).scalar_subquery(),
    select(Departure.id).where(Departure.counter_id.in_(_COUNTERS)).exists(),
)
_AS_IT_COMES = DateTime(timezone=True)  # no work for each value


def _kind(scope: Scope) -> tuple[bool, bool]:
    return scope.detail == Detail.INITIALS, scope.service_id is not None


def _values(scope: Scope, seen: Window) -> dict[str, Any]:
    where = {"counters": list(scope.counter_ids), "service": scope.service_id}
    when = {"starts": seen.starts, "ends": seen.ends}
    return {**where, **when, "midnight": seen.midnight, "tombstones": seen.midnight - TOMBSTONE}


@lru_cache(maxsize=8)
def _present(with_name: bool, of_a_service: bool) -> Any:
    one = Appointment
    still_matters = or_(one.state == AppointmentState.BOOKED, one.starts_at >= _MIDNIGHT, one.changed_at > _TOMBSTONES)
    of_window = and_(one.starts_at >= bindparam("starts"), one.starts_at < bindparam("ends"))
    moments = [type_coerce(moment, _AS_IT_COMES) for moment in (one.changed_at, Booking.forgotten_at)]
    columns = (one.id, one.counter_id, one.sequence, type_coerce(one.state, String()), *moments, _name(with_name))
    query: Any = select(*columns).select_from(one).join(Booking, Booking.id == one.booking_id)
    query = query.where(one.counter_id.in_(_COUNTERS), still_matters, of_window)
    return _with_service(query) if of_a_service else query


@lru_cache(maxsize=8)
def _details(with_name: bool) -> Any:
    one = Appointment
    columns = (one.id, one.counter_id, one.sequence, one.state, one.starts_at, one.ends_at, one.changed_at)
    query: Any = select(*columns).select_from(one).where(one.id.in_(bindparam("ids", expanding=True)))
    return _with_booking(query, with_name).order_by(one.id, AppointmentService.position)


@lru_cache(maxsize=8)
def _departed(with_name: bool, of_a_service: bool) -> Any:
    one, its = Departure, Appointment
    still_matters = or_(one.starts_at >= _MIDNIGHT, one.left_at > _TOMBSTONES)
    state = literal(AppointmentState.CANCELLED, its.state.type).label("state")
    moments = (one.starts_at, one.ends_at, one.left_at.label("changed_at"))
    query: Any = select(its.id, one.counter_id, one.sequence, state, *moments).select_from(one)
    query = query.join(its, its.id == one.appointment_id)
    query = query.where(one.counter_id.in_(_COUNTERS), its.counter_id.not_in(_COUNTERS), still_matters)
    query = _with_booking(query, with_name).order_by(its.id, one.sequence, AppointmentService.position)
    return _with_service(query) if of_a_service else query


def _with_booking(query: Any, with_name: bool) -> Any:
    """With what stands at the booking and its services. The only person in it is a name for initials, if at all."""
    item = AppointmentService
    query = query.join(Booking, Booking.id == Appointment.booking_id)
    query = query.outerjoin(item, item.appointment_id == Appointment.id)
    query = query.add_columns(Appointment.uid, Booking.made_at, Booking.forgotten_at, Booking.reference)
    return query.add_columns(_name(with_name).label("person"), item.people, item.service_id)


def _with_service(query: Any) -> Any:
    item = AppointmentService
    return query.where(Appointment.id.in_(select(item.appointment_id).where(item.service_id == bindparam("service"))))


def _name(with_name: bool) -> Any:
    return Booking.name if with_name else null()
