"""The agenda: a desk's local day, a column a counter. A fixed number of queries, whatever the day holds."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from booking.appointments.models import (
    Appointment,
    AppointmentService,
    AppointmentState,
    Booking,
    Visit,
    VisitState,
)
from booking.appointments.queue import Line, line_of
from booking.appointments.timelines import CounterLine, load_lines
from booking.appointments.visits import state_of
from booking.db import db
from booking.slots.clock import TICK_MINUTES, day_start, moment_of, tick_of
from booking.slots.timeline import between, first_in
from booking.townhall.hours import Horizon
from booking.townhall.models import Counter, Desk, Office, Service

AN_HOUR = 60 // TICK_MINUTES


@dataclass(frozen=True)
class Block:
    """A stretch of one counter's day, in rows of five minutes: an appointment, or free, held or closed."""

    row: int
    rows: int
    starts_at: datetime
    appointment: Appointment | None
    is_open: bool
    is_held: bool = False  # somebody is booking it just now

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(minutes=self.rows * TICK_MINUTES)


@dataclass(frozen=True)
class Column:
    counter: Counter
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Agenda:
    """One desk's day. `rows` are the ticks from the first that anything shows to the last; row 0 is `first_tick`."""

    desk: Desk
    day: date
    first_tick: int
    rows: int
    columns: tuple[Column, ...]
    appointments: tuple[Appointment, ...]  # booked and cancelled, by start
    now_row: int | None
    line: Line | None  # who waits and is served, today only
    now: datetime

    @property
    def table(self) -> list[list[Block]]:
        """The blocks that begin in each row, column by column: rows of a table whose cells span rows."""
        table: list[list[Block]] = [[] for _ in range(self.rows)]
        for column in self.columns:
            for block in column.blocks:
                table[block.row].append(block)
        return table

    @property
    def count(self) -> int:
        return sum(one.is_booked for one in self.appointments)

    @property
    def without_outcome(self) -> list[Appointment]:
        """The appointments that should be over, of which nobody said what became of them."""
        return [one for one in self.appointments if one.ends_at <= self.now and state_of(one) == VisitState.EXPECTED]

    @property
    def states(self) -> list[tuple[str, int]]:
        """How many visits are in each state."""
        counted = Counted(state_of(one) for one in self.appointments)
        return [(state.value, counted[state]) for state in VisitState]

    def moment_of_row(self, row: int) -> datetime:
        return moment_of(self.first_tick + row)


def agenda(desk: Desk, day: date, now: datetime) -> Agenda:
    zone = ZoneInfo(desk.office.municipality.zone)
    horizon = Horizon(day, 1, zone)
    lines = {line.counter_id: line for line in load_lines(desk.office, desk.office.revision, horizon, now).counters}
    appointments = appointments_of(desk, day, zone)
    booked = [one for one in appointments if one.is_booked]
    shown = _shown(horizon, [lines[counter.id] for counter in desk.counters], booked)
    columns = tuple(
        Column(counter, tuple(_blocks(counter, lines[counter.id], booked, shown, horizon.base)))
        for counter in desk.counters
    )
    now_row = tick_of(now) - shown.start if tick_of(now) in shown else None
    line = line_of(desk, now) if day == now.astimezone(zone).date() else None
    return Agenda(desk, day, shown.start, len(shown), columns, tuple(appointments), now_row, line, now)


def appointments_of(desk: Desk, day: date, zone: ZoneInfo) -> Sequence[Appointment]:
    """The appointments of the desk that begin on this local day, with all that a page or a feed shows of them."""
    starts, ends = (moment_of(day_start(d, zone)) for d in (day, day + timedelta(days=1)))
    return db.session.scalars(
        select(Appointment)
        .join(Appointment.counter)
        .where(Counter.desk_id == desk.id, Appointment.starts_at >= starts, Appointment.starts_at < ends)
        .order_by(Appointment.starts_at, Appointment.id)
        .options(
            contains_eager(Appointment.counter),
            joinedload(Appointment.booking),
            joinedload(Appointment.visit),
            selectinload(Appointment.items).joinedload(AppointmentService.service).selectinload(Service.texts),
        )
    ).all()


def next_open_day(desk: Desk, day: date, now: datetime) -> date | None:
    """The next local day after `day`, within two months, on which a counter of the desk serves."""
    zone = ZoneInfo(desk.office.municipality.zone)
    horizon = Horizon(day + timedelta(days=1), 60, zone)
    counters = {counter.id for counter in desk.counters}
    open_mask = 0
    for line in load_lines(desk.office, desk.office.revision, horizon, now).counters:
        if line.counter_id in counters:
            open_mask |= line.opening.open
    first = first_in(open_mask, horizon.base)
    return None if first is None else moment_of(first).astimezone(zone).date()


def found(municipality_id: int, appointment_id: int) -> Appointment | None:
    """The appointment with this id, if it belongs to the municipality."""
    return db.session.scalar(
        select(Appointment)
        .join(Appointment.booking)
        .where(Appointment.id == appointment_id, Booking.municipality_id == municipality_id)
    )


def found_visit(municipality_id: int, visit_id: int) -> Visit | None:
    """The visit with this id, if it belongs to the municipality."""
    return db.session.scalar(
        select(Visit)
        .join(Office, Office.id == Visit.office_id)
        .where(Visit.id == visit_id, Office.municipality_id == municipality_id)
    )


def _shown(horizon: Horizon, lines: Sequence[CounterLine], booked: Sequence[Appointment]) -> range:
    """The ticks from the first opening or appointment to the last, in whole hours."""
    mask = 0
    for line in lines:
        mask |= line.opening.open
    for one in booked:
        mask |= between(tick_of(one.starts_at) - horizon.base, tick_of(one.ends_at) - horizon.base)
    if not mask:
        return range(horizon.base, horizon.base)
    first = ((mask & -mask).bit_length() - 1) // AN_HOUR * AN_HOUR
    last = -(-mask.bit_length() // AN_HOUR) * AN_HOUR
    return range(horizon.base + first, horizon.base + last)


def _blocks(counter: Counter, line: CounterLine, booked: Sequence[Appointment], shown: range, base: int) -> list[Block]:
    """The column from top to bottom, without gaps."""
    blocks: list[Block] = []
    tick = shown.start
    for one in booked:
        if one.counter_id == counter.id:
            blocks += _gaps(line, tick, tick_of(one.starts_at), shown, base)
            tick = tick_of(one.ends_at)
            first = tick_of(one.starts_at)
            blocks.append(Block(first - shown.start, tick - first, one.starts_at, one, True))
    return blocks + _gaps(line, tick, shown.stop, shown, base)


def _gaps(line: CounterLine, first: int, end: int, shown: range, base: int) -> list[Block]:
    """The stretches from `first` to `end` in which the counter is free, held or closed; free ones end with the hour,
    so that each can be chosen by itself."""

    def kind(tick: int) -> tuple[bool, bool, int]:
        is_open, is_held = (bool(mask >> (tick - base) & 1) for mask in (line.opening.open, line.held))
        return is_open, is_open and is_held, (tick - shown.start) // AN_HOUR if is_open else 0

    blocks: list[Block] = []
    while first < end:
        is_open, is_held, hour = kind(first)
        last = first + 1
        while last < end and kind(last) == (is_open, is_held, hour):
            last += 1
        blocks.append(Block(first - shown.start, last - first, moment_of(first), None, is_open, is_held))
        first = last
    return blocks


def is_anything_to_come(municipality_id: int, now: datetime) -> bool:
    """Whether anybody still has an appointment."""
    query = select(Appointment.id).join(Appointment.booking).where(Booking.municipality_id == municipality_id)
    query = query.where(Appointment.state == AppointmentState.BOOKED, Appointment.ends_at > now)
    return db.session.scalar(query.limit(1)) is not None
