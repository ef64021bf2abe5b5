"""The three changes of a booking: book, move, cancel. Each raises the office row first, and flushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import update
from sqlalchemy.orm.attributes import set_committed_value

from booking.appointments.holds import demand_held, look_again
from booking.appointments.limits import Contact, back_at, has_moved_enough, take_counted
from booking.appointments.models import (
    Appointment,
    AppointmentService,
    AppointmentState,
    Booking,
    Channel,
    Hold,
)
from booking.appointments.needs import needs_in, with_needs
from booking.appointments.notices import announce, notices
from booking.appointments.occupancy import SlotTaken, free, reclaim, take, ticks_of
from booking.appointments.offers import Demand, offer, tightest
from booking.appointments.references import new_reference
from booking.appointments.timelines import CounterLine, OfficeLines, lines_of_day, office_lines
from booking.appointments.writing import Handed, HoldChanged, Written, hand_over, new_ids, write
from booking.db import db, fresh, know
from booking.outbox.models import Kind, MessageChannel
from booking.outbox.queue import row
from booking.slots.clock import tick_of
from booking.slots.timeline import mask_of, starts
from booking.staff.audit import Actor, record
from booking.staff.audit import line as audit_line
from booking.townhall.models import Office
from booking.townhall.revisions import raise_activity, raise_office, raise_revision, raised_here


@dataclass(frozen=True)
class Citizen:
    """What a citizen tells about themselves: a name, and how to be reached, if at all (`phone` as E.164)."""

    name: str
    language: str
    email: str | None = None
    phone: str | None = None
    contacts: tuple[Contact, ...] = ()  # the same as pseudonyms, to count by
    needs: str | None = None  # words of needs.py


class TooLate(Exception):
    """The appointment has begun, is over or is cancelled, or the hours of its services are past: it stays as it is."""


class MovedOften(TooLate):
    """The citizen has moved it as often within a day as one may: it stays where it is."""


def book(held: Hold, citizen: Citizen, channel: Channel, actor: Actor, now: datetime) -> Booking:
    """Turns a hold into a booking with one appointment, its messages and its audit line.

    A second call for the same hold returns the same booking. A hold that has ended is taken again if its
    slot is still free. While the hold lives the offer does not change, only what agendas show. Raises SlotTaken,
    ContactLimit, AddressLimit, ProofLimit, HoldChanged: then nothing may stay. Flushes.
    """
    if held.booking_id is not None:
        return db.session.get_one(Booking, held.booking_id)
    if held.starts_at <= now:
        raise SlotTaken
    office, demand = held.counter.desk.office, demand_held(held)
    contacts = () if actor.is_staff else citizen.contacts
    take_counted(held, contacts)
    line = None if held.expires_at > now else _line_again(held, demand, now)
    ids = new_ids()
    its_booking = {"id": ids.booking, **_booking(held, citizen, channel, now)}
    its_appointment = {"id": ids.appointment, "booking_id": ids.booking, **_appointment(held, line, demand, now)}
    booking, appointment = fresh(Booking, its_booking), fresh(Appointment, its_appointment)
    set_committed_value(appointment, "booking", booking)
    services = [service for service, _people in demand.items]
    told = notices(appointment, office.municipality, Kind.CONFIRMATION, now, services)
    messages = [row(office.municipality_id, (ids.appointment, 0), notice, now) for notice in told]
    audited = audit_line(actor, "book", ("appointment", ids.appointment), now, channel=channel.value)
    item, *others = _items(demand, ids.appointment)
    handed = write(Written(its_booking, its_appointment, item, messages, audited), held, contacts, now)
    know(booking)
    line = line or _line_held(held, demand, handed, now)
    _take_missing(set(ticks_for(line, demand, held.starts_at)) - handed.ticks, appointment, office.id, now)
    _add_items(others)
    return booking


def join(booking: Booking, held: Hold, actor: Actor, now: datetime) -> None:
    """Adds the appointment of a further desk to the booking, by its own hold, unless it is there already.

    The offices are raised already. Raises SlotTaken. Flushes.
    """
    look_again(held)
    if held.booking_id is not None:
        return
    office, demand = held.counter.desk.office, demand_held(held)
    if held.starts_at <= now:
        raise SlotTaken
    line = None if held.expires_at > now else _line_again(held, demand, now)
    revision = raise_activity([office.id], now)[office.id]
    appointment = Appointment(**_appointment(held, line, demand, now), booking_id=booking.id)
    db.session.add(appointment)
    db.session.flush()
    _add_items(_items(demand, appointment.id))
    handed = Handed(hand_over(held, appointment, now), revision)
    line = line or _line_held(held, demand, handed, now)
    _take_missing(set(ticks_for(line, demand, held.starts_at)) - handed.ticks, appointment, office.id, now)
    announce(appointment, office.municipality, Kind.CONFIRMATION, now)
    record(actor, "book", ("appointment", appointment.id), now, channel=booking.channel.value)
    db.session.flush()


def move(appointment: Appointment, office: Office, start: datetime, actor: Actor, now: datetime) -> None:
    """Gives the appointment another time, perhaps at another counter or office; it stays the same appointment.

    The new ticks are inserted before the old ones are deleted. Raises SlotTaken, TooLate. Flushes.
    """
    start = start.astimezone(UTC)  # its end is a sum, which a wall clock would get wrong when it is changed
    lock(appointment)
    known = raise_office([appointment.counter.desk.office_id, office.id], now)
    check_movable(appointment, actor, now)
    if start == appointment.starts_at and office.id == appointment.counter.desk.office_id:
        return
    demand = demand_of(appointment)
    lines = office_lines(office, now, known[office.id])
    lines = without(lines.for_staff() if actor.sees_all else lines, appointment)
    line = tightest(lines, demand, start) if offer(lines, demand, now).has(start) else None
    if line is None:
        raise SlotTaken
    if actor.sees_all:
        reclaim(line.counter_id, ticks_for(line, demand, start))
    _shift_ticks(appointment, line, demand, start, now)
    place(appointment, line.counter_id, start, actor, now)


def place(appointment: Appointment, counter_id: int, start: datetime, actor: Actor, now: datetime) -> None:
    """Writes down where and when the appointment is from now on, and tells so; it has the ticks already. Flushes."""
    before = appointment.starts_at
    appointment.counter_id = counter_id
    appointment.starts_at = start
    appointment.ends_at = start + demand_of(appointment).length
    appointment.is_exception = False  # the new time lies in the hours
    appointment.sequence += 1
    appointment.changed_at = now
    db.session.flush()
    db.session.refresh(appointment)
    _take_visit_along(appointment)
    announce(appointment, appointment.counter.desk.office.municipality, Kind.MOVE, now)
    record(actor, "move", ("appointment", appointment.id), now, before=before.isoformat(), after=start.isoformat())
    db.session.flush()


def _take_visit_along(appointment: Appointment) -> None:
    """A visit that has not begun, which a note makes, goes to the desk that is responsible now; numbers stay behind."""
    if appointment.visit is None:
        return
    visit, desk = appointment.visit, appointment.counter.desk
    db.session.refresh(visit)
    if visit.has_come:
        return
    if visit.office_id != desk.office_id:
        visit.came_on = visit.number = None
    visit.office_id, visit.desk_id = desk.office_id, desk.id


def cancel(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """Cancels the appointment and frees its ticks; cancelling twice is harmless. Raises TooLate. Flushes."""
    lock(appointment)
    raise_office([appointment.counter.desk.office_id], now)
    if not appointment.is_booked:
        return
    check_cancellable(appointment, actor, now)
    annul(appointment, actor, now)


def annul(appointment: Appointment, actor: Actor, now: datetime, **details: str) -> None:
    """Writes down that it is cancelled, frees its ticks, and tells so; the office is raised. Flushes."""
    appointment.state = AppointmentState.CANCELLED
    appointment.sequence += 1
    appointment.changed_at = now
    municipality = appointment.counter.desk.office.municipality
    free(appointment.id, appointment.counter_id, now, back_at(municipality, now))
    announce(appointment, municipality, Kind.CANCELLATION, now)
    record(actor, "cancel", ("appointment", appointment.id), now, **details)
    db.session.flush()


def lock(appointment: Appointment) -> None:
    """Waits for whoever changes this appointment, and reads it afresh: now it cannot go to another office.

    Its row comes before the rows of offices, whoever takes both.
    """
    db.session.execute(
        update(Appointment).where(Appointment.id == appointment.id).values(sequence=Appointment.sequence),
        execution_options={"synchronize_session": False},
    )
    db.session.refresh(appointment)


def movable_until(appointment: Appointment) -> datetime:
    """When the citizen can move it no more, by the strictest of its services."""
    return appointment.starts_at - timedelta(hours=max(item.service.move_hours for item in appointment.items))


def cancellable_until(appointment: Appointment) -> datetime:
    """When the citizen can cancel it no more, by the strictest of its services."""
    return appointment.starts_at - timedelta(hours=max(item.service.cancel_hours for item in appointment.items))


def is_movable(appointment: Appointment, now: datetime) -> bool:
    """Whether the citizen may still move it."""
    return is_to_come(appointment, now) and now < movable_until(appointment)


def is_cancellable(appointment: Appointment, now: datetime) -> bool:
    """Whether the citizen may still cancel it."""
    return is_to_come(appointment, now) and now < cancellable_until(appointment)


def is_to_come(appointment: Appointment, now: datetime) -> bool:
    """Whether anything can still be changed about it: not when it has begun, nor once they are there."""
    has_come = appointment.visit is not None and appointment.visit.has_come
    return appointment.is_booked and now < appointment.starts_at and not has_come


def demand_of(appointment: Appointment) -> Demand:
    """What the appointment is for."""
    first, *others = appointment.wanted
    demand, needs = Demand(*first, tuple(others)), needs_in(appointment.booking.needs)
    return with_needs(demand, needs, appointment.counter.desk.office.municipality) if needs else demand


def without(lines: OfficeLines, appointment: Appointment) -> OfficeLines:
    """The timelines as if the appointment had no ticks: to see where it could go."""
    own = mask_of((range(tick, tick + 1) for tick in ticks_of(appointment.id)), lines.horizon.base)
    counters = tuple(
        replace(line, taken=line.taken & ~own) if line.counter_id == appointment.counter_id else line
        for line in lines.counters
    )
    return replace(lines, counters=counters)


def _line_held(held: Hold, demand: Demand, handed: Handed, now: datetime) -> CounterLine:
    """The counter of a hold that lives, now that the office is ours.

    Raises HoldChanged where the hold was given back or extended before, SlotTaken where its counter was closed.
    """
    if not handed.ticks:
        ends_at = held.expires_at
        look_again(held)
        if held.expires_at != ends_at:
            raise HoldChanged
    office = held.counter.desk.office
    lines = lines_of_day(office, office_lines(office, now, handed.revision), held.starts_at, now)
    line = next(line for line in lines.counters if line.counter_id == held.counter_id)
    if not starts(line.opening.open, demand.ticks) >> (tick_of(held.starts_at) - lines.horizon.base) & 1:
        raise SlotTaken
    return line


def _line_again(held: Hold, demand: Demand, now: datetime) -> CounterLine:
    """The tightest free counter for the slot of a hold that has ended; its office is raised.

    Raises SlotTaken, or HoldChanged where the hold was extended or became a booking before the office was ours.
    """
    office = held.counter.desk.office
    revision = raise_revision([office.id])[office.id]
    look_again(held)
    if held.booking_id is not None or held.expires_at > now:
        raise HoldChanged
    lines = office_lines(office, now, revision)
    is_offered = offer(lines, demand, now).has(held.starts_at)
    among = {one.id for one in held.counter.desk.counters} if held.desks > 1 else None  # the ways lead to this desk
    found = tightest(lines, demand, held.starts_at, among) if is_offered else None
    if found is None:
        raise SlotTaken
    return found


def _take_missing(ticks: set[int], appointment: Appointment, office_id: int, now: datetime) -> None:
    """Takes what the hold has not: all of it when it ended, the rest when the service was made longer meanwhile."""
    if ticks and office_id not in raised_here():
        raise_revision([office_id])
    take(appointment.counter_id, ticks, now, appointment_id=appointment.id)


def _shift_ticks(appointment: Appointment, line: CounterLine, demand: Demand, start: datetime, now: datetime) -> None:
    wanted = ticks_for(line, demand, start)
    stays = line.counter_id == appointment.counter_id
    own = set(ticks_of(appointment.id)) if stays else set()
    take(line.counter_id, set(wanted) - own, now, appointment_id=appointment.id)
    back = back_at(appointment.counter.desk.office.municipality, now)
    free(appointment.id, appointment.counter_id, now, back, keep=wanted if stays else ())


def ticks_for(line: CounterLine, demand: Demand, start: datetime) -> range:
    """What the visit takes at this counter, with the buffer behind it."""
    first = tick_of(start)
    return range(first, first + demand.ticks + line.buffer)


def check_movable(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """Raises TooLate unless it may still be moved, MovedOften; for staff neither hours nor limits count."""
    db.session.expire(appointment, ["visit"])
    if not (is_to_come if actor.sees_all else is_movable)(appointment, now):
        raise TooLate
    if not actor.sees_all and has_moved_enough(appointment, now):
        raise MovedOften


def check_cancellable(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """The same for cancelling."""
    db.session.expire(appointment, ["visit"])
    if not (is_to_come if actor.is_staff else is_cancellable)(appointment, now):
        raise TooLate


def _booking(held: Hold, citizen: Citizen, channel: Channel, now: datetime) -> dict[str, Any]:
    columns = {
        "municipality_id": held.counter.desk.office.municipality_id,
        "reference": new_reference(),
        "name": citizen.name,
        "email": citizen.email,
        "phone": citizen.phone,
        **_pseudonyms(citizen),
        "language": citizen.language,
        "channel": channel,
        "made_at": now,
        "first_free_at": held.first_free_at,
        "generation": 1,
    }
    if citizen.needs:
        columns["needs"] = citizen.needs
    if held.answers:
        columns["answers"] = held.answers
    return columns


def _items(demand: Demand, appointment_id: int) -> list[dict[str, int]]:
    """The rows of what the appointment is for."""
    return [
        {"appointment_id": appointment_id, "service_id": service.id, "position": position, "people": people}
        for position, (service, people) in enumerate(demand.items)
    ]


def _add_items(rows: Sequence[Mapping[str, int]]) -> None:
    if rows:
        db.session.add_all(AppointmentService(**row) for row in rows)


def _pseudonyms(citizen: Citizen) -> dict[str, str]:
    columns = {MessageChannel.EMAIL: "email_key", MessageChannel.SMS: "phone_key"}
    return {columns[contact.channel]: contact.subjects[0] for contact in citizen.contacts}


def _appointment(held: Hold, line: CounterLine | None, demand: Demand, now: datetime) -> dict[str, Any]:
    return {
        "counter_id": line.counter_id if line else held.counter_id,
        "uid": f"{uuid4()}@balie",
        "sequence": 0,
        "state": AppointmentState.BOOKED,
        "starts_at": held.starts_at,
        "ends_at": held.starts_at + demand.length,
        "changed_at": now,
        "is_exception": False,
        "is_beyond_quota": False,
    }
