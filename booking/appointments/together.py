"""Visits of several desks, all or nothing: hold them, book them under one reference, move or cancel them together.

The offices of all desks are raised before anything is read that the change relies on, in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce

from booking.appointments.booking import (
    Citizen,
    book,
    cancel,
    check_cancellable,
    check_movable,
    demand_of,
    join,
    lock,
    place,
    ticks_for,
    without,
)
from booking.appointments.holds import ANYBODY, give_back, look_again, new_hold, offices_given_back, twin_of, visit_of
from booking.appointments.limits import Holder, back_at, check_day, check_holds, take_counted, take_turn
from booking.appointments.models import Appointment, Booking, Channel, Hold
from booking.appointments.occupancy import SlotTaken, free, pass_on, places_of, take
from booking.appointments.offers import first_free, tightest
from booking.appointments.plans import Errands, Stop
from booking.appointments.timelines import CounterLine, OfficeLines, office_lines
from booking.db import insert_row, know
from booking.staff.audit import Actor
from booking.townhall.revisions import raise_activity, raise_office, raise_revision
from booking.townhall.standing import Standing


def hold_visit(errands: Errands, office_id: int, start: datetime, holder: Holder = ANYBODY) -> Hold:
    """Keeps a slot at each desk of the visit that begins there and then, and returns the hold of the first.

    Lets go of the hold it replaces; a second click finds what the first one held. Raises SlotTaken, HoldLimit. Flushes.
    """
    offices, now = errands.standing.offices, errands.now
    municipality = errands.standing.municipality
    shown, plan = first_free(errands.offers()), errands.plan(office_id, start)
    take_turn(holder)
    for first in errands.demands:
        twin = twin_of(offices[office_id], first, start, now, holder)
        if twin is not None and twin.desks == len(errands.demands):
            return twin
    if plan is None and holder.gives_back is None:
        raise SlotTaken
    check_holds(municipality, holder, now)
    wanted = {stop.desk.office_id for stop in plan} if plan else set(errands.lines)
    known = raise_revision({*wanted, *offices_given_back(holder)})
    give_back(holder, now)
    lines = {id: office_lines(offices[id], now, known[id]) for id in wanted}
    plan = replace(errands, lines=lines).plan(office_id, start)
    if plan is None:
        raise SlotTaken
    holds: list[Hold] = []
    for stop in plan:
        held = new_hold(stop.demand, stop.starts_at, municipality, holder, now)
        held.desks, held.first_id = len(plan), holds[0].id if holds else None
        held.first_free_at = shown and shown[1]
        holds.append(held)
        _keep(held, stop, lines[stop.desk.office_id], errands)
    know(*holds)
    return holds[0]


def book_visit(held: Hold, citizen: Citizen, channel: Channel, actor: Actor, now: datetime) -> Booking:
    """Turns the holds of a visit into one booking with an appointment for each desk, or nothing of it.

    What holds for `book` holds here. Raises SlotTaken, ContactLimit. Flushes.
    """
    holds = visit_of(held)
    if len(holds) > 1:
        take_counted(held, () if actor.is_staff else citizen.contacts)  # before offices, as ever
        raise_activity([one.counter.desk.office_id for one in holds], now)
        look_again(held)
    booking = book(held, citizen, channel, actor, now)
    for one in holds[1:]:
        join(booking, one, actor, now)
    return booking


def errands_of(
    appointments: Sequence[Appointment], standing: Standing, lines: Mapping[int, OfficeLines], now: datetime
) -> Errands:
    """What these appointments of one booking are for, with the timelines as if they had no ticks."""
    free = {id: reduce(without, appointments, one) for id, one in lines.items()}
    return Errands(tuple(demand_of(one) for one in appointments), standing, free, now)


def move_visit(
    errands: Errands, appointments: Sequence[Appointment], office_id: int, start: datetime, actor: Actor
) -> None:
    """Moves all these appointments, of which the errands are, to the visit that begins there and then.

    Each stays the same appointment. New ticks are inserted before old ones are deleted; what one of them gives up
    another may take. Raises SlotTaken, TooLate. Flushes.
    """
    now, standing = errands.now, errands.standing
    plan = errands.plan(office_id, start)
    if plan is None:
        raise SlotTaken
    for one in sorted(appointments, key=lambda one: one.id):
        lock(one)
    wanted = {stop.desk.office_id for stop in plan}
    known = raise_office({*wanted, *(one.counter.desk.office_id for one in appointments)}, now)
    for one in appointments:
        check_movable(one, actor, now)
    lines = {id: office_lines(standing.offices[id], now, known[id]) for id in wanted}
    errands = errands_of(appointments, standing, lines, now)
    plan = errands.plan(office_id, start)
    if plan is None:
        raise SlotTaken
    mine = dict(zip(errands.demands, appointments, strict=True))
    moved = [(mine[stop.demand], stop, _counter_at(stop, errands.lines[stop.desk.office_id])) for stop in plan]
    wants = [(one, line.counter_id, ticks_for(line, stop.demand, stop.starts_at)) for one, stop, line in moved]
    _exchange_ticks(wants, now)
    for one, stop, line in moved:
        place(one, line.counter_id, stop.starts_at, actor, now)


def cancel_visit(appointments: Sequence[Appointment], actor: Actor, now: datetime) -> None:
    """Cancels all these appointments, or none. Raises TooLate. Flushes."""
    for one in sorted(appointments, key=lambda one: one.id):
        lock(one)
    raise_office([one.counter.desk.office_id for one in appointments], now)
    for one in appointments:
        check_cancellable(one, actor, now)
    for one in appointments:
        cancel(one, actor, now)


def _exchange_ticks(wanted: Sequence[tuple[Appointment, int, range]], now: datetime) -> None:
    """Gives each appointment the ticks it wants at its new counter, and frees what none of them wants any more."""
    ids = [one.id for one, _counter_id, _ticks in wanted]
    own = {(counter_id, tick) for one, _counter_id, _ticks in wanted for counter_id, tick in places_of(one.id)}
    for one, counter_id, ticks in wanted:
        take(counter_id, [tick for tick in ticks if (counter_id, tick) not in own], now, appointment_id=one.id)
    for one, counter_id, ticks in wanted:
        pass_on(ids, one.id, counter_id, ticks)
    for one, counter_id, ticks in wanted:
        back = back_at(one.counter.desk.office.municipality, now)
        free(one.id, one.counter_id, now, back, keep=ticks if counter_id == one.counter_id else ())


def _keep(held: Hold, stop: Stop, lines: OfficeLines, errands: Errands) -> None:
    """Takes the ticks of one desk for the hold, which gets its counter and its row."""
    now = errands.now
    line = _counter_at(stop, lines)
    ticks = ticks_for(line, stop.demand, stop.starts_at)
    check_day(lines, errands.standing.municipality, ticks, now)
    held.counter_id = line.counter_id
    insert_row(held)
    take(line.counter_id, ticks, now, hold_id=held.id, expires_at=held.expires_at)


def _counter_at(stop: Stop, lines: OfficeLines) -> CounterLine:
    """The counter of the stop's desk that loses least. Raises SlotTaken."""
    ids = {counter.id for counter in stop.desk.counters}
    line = tightest(lines, stop.demand, stop.starts_at, ids)
    if line is None:
        raise SlotTaken
    return line
