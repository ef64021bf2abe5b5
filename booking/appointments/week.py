"""A desk's week at a glance: for each day and counter how many are booked and how much is free."""

from __future__ import annotations

from collections import Counter as Counted
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from booking.appointments.models import Appointment, AppointmentState
from booking.appointments.timelines import CounterLine, load_lines
from booking.db import db
from booking.slots.clock import TICK_MINUTES, day_start, moment_of
from booking.slots.timeline import between
from booking.townhall.hours import Horizon
from booking.townhall.models import Counter, Desk

DAYS = 7


@dataclass(frozen=True)
class Cell:
    """One counter on one day: booked appointments, and minutes that are open and free."""

    counter: Counter
    booked: int
    free: int
    is_open: bool


@dataclass(frozen=True)
class WeekDay:
    on: date
    cells: tuple[Cell, ...]

    @property
    def booked(self) -> int:
        return sum(cell.booked for cell in self.cells)


def week(desk: Desk, day: date, now: datetime) -> list[WeekDay]:
    """The seven local days from the Monday of this day on, in three questions more than the timelines need."""
    monday, zone = day - timedelta(days=day.weekday()), ZoneInfo(desk.office.municipality.zone)
    horizon = Horizon(monday, DAYS, zone)
    lines = {line.counter_id: line for line in load_lines(desk.office, desk.office.revision, horizon, now).counters}
    booked = _booked(desk, horizon)
    found = []
    for on in horizon.dates:
        first, end = (day_start(one, zone) - horizon.base for one in (on, on + timedelta(days=1)))
        mask = between(first, end)
        cells = (_cell(counter, lines[counter.id], mask, booked[counter.id, on]) for counter in desk.counters)
        found.append(WeekDay(on, tuple(cells)))
    return found


def _cell(counter: Counter, line: CounterLine, mask: int, booked: int) -> Cell:
    is_open = bool(line.opening.open & mask)
    return Cell(counter, booked, (line.opening.open & ~line.taken & mask).bit_count() * TICK_MINUTES, is_open)


def _booked(desk: Desk, horizon: Horizon) -> Counted[tuple[int, date]]:
    """How many begin at each counter on each local day."""
    starts, ends = moment_of(horizon.base), moment_of(horizon.end)
    query = (
        select(Appointment.counter_id, Appointment.starts_at)
        .join(Appointment.counter)
        .where(Counter.desk_id == desk.id, Appointment.state == AppointmentState.BOOKED)
        .where(Appointment.starts_at >= starts, Appointment.starts_at < ends)
    )
    return Counted((id, at.astimezone(horizon.zone).date()) for id, at in db.session.execute(query))
