"""The three changes of a booking: book, move, cancel. Each raises the office row first, and flushes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from booking.appointments.models import (
    Appointment,
    AppointmentService,
    AppointmentState,
    Booking,
    Channel,
    Hold,
)
from booking.appointments.notices import announce
from booking.appointments.occupancy import SlotTaken, free, hand_over, take, ticks_of
from booking.appointments.offers import (
    CounterLine,
    Demand,
    OfficeLines,
    lines_around,
    offer,
    tightest,
)
from booking.appointments.references import new_reference
from booking.db import db
from booking.outbox.models import Kind
from booking.slots.clock import tick_of
from booking.slots.timeline import mask_of, starts
from booking.staff.audit import Actor, record
from booking.townhall.models import Office
from booking.townhall.revisions import raise_activity


@dataclass(frozen=True)
class Citizen:
    """What a citizen tells about themselves: a name, and how to be reached, if at all (`phone` as E.164)."""

    name: str
    language: str
    email: str | None = None
    phone: str | None = None


class TooLate(Exception):
    """The appointment has begun, is over or is cancelled: it can no longer be changed."""


def book(held: Hold, citizen: Citizen, channel: Channel, actor: Actor, now: datetime) -> Booking:
    """Turns a hold into a booking with one appointment, its messages and its audit line.

    A second call for the same hold returns the same booking. A hold that has ended is taken again if its
    slot is still free. Raises SlotTaken. Flushes.
    """
    office = held.counter.desk.office
    raise_activity([office.id], now)
    db.session.refresh(held)
    if held.booking_id is not None:
        return db.session.get_one(Booking, held.booking_id)
    demand = Demand(held.service, held.people)
    line = _counter_for(held, demand, office, now)
    booking = _booking(held, citizen, channel, office.municipality_id, now)
    appointment = _appointment(booking, line.counter_id, demand, held.starts_at, now)
    db.session.flush()
    _occupy(held, appointment, line, demand, now)
    held.booking_id = booking.id
    announce(appointment, Kind.CONFIRMATION, now)
    record(actor, "book", ("appointment", appointment.id), now, channel=channel.value)
    db.session.flush()
    return booking


def move(appointment: Appointment, office: Office, start: datetime, actor: Actor, now: datetime) -> None:
    """Gives the appointment another time, perhaps at another counter or office; it stays the same appointment.

    The new ticks are inserted before the old ones are deleted. Raises SlotTaken, TooLate. Flushes.
    """
    start = start.astimezone(UTC)  # its end is a sum, which a wall clock would get wrong when it is changed
    raise_activity([appointment.counter.desk.office_id, office.id], now)
    _refresh_changeable(appointment, now)
    if start == appointment.starts_at and office.id == appointment.counter.desk.office_id:
        return
    demand = demand_of(appointment)
    lines = without(lines_around(office, start, now), appointment)
    line = tightest(lines, demand, start) if offer(office, demand, now, lines).has(start) else None
    if line is None:
        raise SlotTaken
    before = appointment.starts_at
    _shift_ticks(appointment, line, demand, start, now)
    appointment.counter_id = line.counter_id
    appointment.starts_at = start
    appointment.ends_at = start + demand.length
    appointment.sequence += 1
    appointment.changed_at = now
    db.session.flush()
    db.session.refresh(appointment)
    announce(appointment, Kind.MOVE, now)
    record(actor, "move", ("appointment", appointment.id), now, before=before.isoformat(), after=start.isoformat())
    db.session.flush()


def cancel(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """Cancels the appointment and frees its ticks; cancelling twice is harmless. Raises TooLate. Flushes."""
    raise_activity([appointment.counter.desk.office_id], now)
    db.session.refresh(appointment)
    if not appointment.is_booked:
        return
    _refresh_changeable(appointment, now)
    appointment.state = AppointmentState.CANCELLED
    appointment.sequence += 1
    appointment.changed_at = now
    free(appointment.id, appointment.counter_id)
    announce(appointment, Kind.CANCELLATION, now)
    record(actor, "cancel", ("appointment", appointment.id), now)
    db.session.flush()


def is_changeable(appointment: Appointment, now: datetime) -> bool:
    """Whether the citizen may still move or cancel it."""
    return appointment.is_booked and now < appointment.starts_at


def demand_of(appointment: Appointment) -> Demand:
    item = appointment.items[0]
    return Demand(item.service, item.people)


def without(lines: OfficeLines, appointment: Appointment) -> OfficeLines:
    """The timelines as if the appointment had no ticks: to see where it could go."""
    own = mask_of((range(tick, tick + 1) for tick in ticks_of(appointment.id)), lines.horizon.base)
    counters = tuple(
        replace(line, taken=line.taken & ~own) if line.counter_id == appointment.counter_id else line
        for line in lines.counters
    )
    return replace(lines, counters=counters)


def _counter_for(held: Hold, demand: Demand, office: Office, now: datetime) -> CounterLine:
    """The counter that serves this booking: the held one while the hold lives, else the tightest free one."""
    if held.starts_at <= now:
        raise SlotTaken
    lines = lines_around(office, held.starts_at, now)
    bit = tick_of(held.starts_at) - lines.horizon.base
    if held.expires_at > now:
        line = next(line for line in lines.counters if line.counter_id == held.counter_id)
        if starts(line.opening.open, demand.ticks) >> bit & 1:
            return line
        raise SlotTaken  # the counter was closed while the form was filled in
    is_offered = offer(office, demand, now, lines).has(held.starts_at)
    found = tightest(lines, demand, held.starts_at) if is_offered else None
    if found is None:
        raise SlotTaken
    return found


def _occupy(held: Hold, appointment: Appointment, line: CounterLine, demand: Demand, now: datetime) -> None:
    """Takes what the hold has not: all of it when it ended, the rest when the service was made longer meanwhile."""
    handed = hand_over(held.id, appointment.id) if held.expires_at > now else set()
    missing = set(_ticks(line, demand, held.starts_at)) - handed
    take(line.counter_id, missing, now, appointment_id=appointment.id)


def _shift_ticks(appointment: Appointment, line: CounterLine, demand: Demand, start: datetime, now: datetime) -> None:
    wanted = _ticks(line, demand, start)
    stays = line.counter_id == appointment.counter_id
    own = set(ticks_of(appointment.id)) if stays else set()
    take(line.counter_id, set(wanted) - own, now, appointment_id=appointment.id)
    free(appointment.id, appointment.counter_id, keep=wanted if stays else ())


def _ticks(line: CounterLine, demand: Demand, start: datetime) -> range:
    first = tick_of(start)
    return range(first, first + demand.ticks + line.buffer)


def _refresh_changeable(appointment: Appointment, now: datetime) -> None:
    db.session.refresh(appointment)
    if not is_changeable(appointment, now):
        raise TooLate


def _booking(held: Hold, citizen: Citizen, channel: Channel, municipality_id: int, now: datetime) -> Booking:
    booking = Booking(
        municipality_id=municipality_id,
        reference=new_reference(municipality_id),
        name=citizen.name,
        email=citizen.email,
        phone=citizen.phone,
        language=citizen.language,
        channel=channel,
        made_at=now,
        first_free_at=held.first_free_at,
    )
    db.session.add(booking)
    return booking


def _appointment(booking: Booking, counter_id: int, demand: Demand, start: datetime, now: datetime) -> Appointment:
    appointment = Appointment(
        booking=booking,
        counter_id=counter_id,
        uid=f"{uuid4()}@balie",
        state=AppointmentState.BOOKED,
        starts_at=start,
        ends_at=start + demand.length,
        changed_at=now,
        items=[AppointmentService(service_id=demand.service.id, position=0, people=demand.people)],
    )
    db.session.add(appointment)
    return appointment
