"""When a counter runs late or nobody is at it: who is told, and who could go to which other counter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from booking.appointments.agenda import appointments_of
from booking.appointments.booking import demand_of, is_to_come, lock, place, ticks_for
from booking.appointments.limits import back_at
from booking.appointments.models import Appointment
from booking.appointments.notices import late_notices
from booking.appointments.occupancy import free, reclaim, take
from booking.appointments.offers import staff_offer, tightest
from booking.appointments.timelines import CounterLine, OfficeLines, office_lines
from booking.db import db
from booking.outbox.queue import queue_once
from booking.slots.clock import day_start, moment_of, tick_of
from booking.slots.timeline import between
from booking.staff.audit import Actor, record
from booking.townhall.models import Closure, Counter
from booking.townhall.revisions import raise_office

NEAR = timedelta(hours=3)  # who comes later than that is not told yet: it may be made up for


@dataclass(frozen=True)
class Proposal:
    """Where an appointment could go; `counter_id` is None where no other counter has time for it today."""

    appointment: Appointment
    counter_id: int | None
    starts_at: datetime

    @property
    def stays_in_time(self) -> bool:
        return self.counter_id is not None and self.starts_at == self.appointment.starts_at

    @property
    def key(self) -> str:
        """What was proposed, to be compared with what is possible when the button is pressed."""
        return f"{self.appointment.id}.{self.counter_id or 0}.{tick_of(self.starts_at)}"


def still_to_come(counter: Counter, now: datetime) -> list[Appointment]:
    """The appointments of today at this counter that have not begun and whose citizens are not there."""
    return [one for one in _of_today(counter, now) if is_to_come(one, now)]


def _of_today(counter: Counter, now: datetime) -> list[Appointment]:
    zone = ZoneInfo(counter.desk.office.municipality.zone)
    today = appointments_of(counter.desk, now.astimezone(zone).date(), zone)
    return [one for one in today if one.counter_id == counter.id]


def run_late(counter: Counter, minutes: int, actor: Actor, now: datetime) -> int:
    """The counter is so many minutes late: its citizens of the next hours are told, and keep their turn. Flushes.

    Returns how many will be told; of those without a contact nobody can be. No minutes: it is in time again.
    """
    raise_office([counter.desk.office_id], now)
    municipality = counter.desk.office.municipality
    mine = db.session.get_one(Counter, counter.id)
    mine.late_minutes, mine.late_on = minutes, now.astimezone(ZoneInfo(municipality.zone)).date()
    db.session.flush()
    told = 0
    for one in still_to_come(mine, now) if minutes else ():
        if one.starts_at <= now + NEAR:
            news = late_notices(one, minutes, now)
            for notice in news:
                queue_once(municipality.id, (one.id, one.sequence), notice, now)
            told += bool(news)
    record(actor, "run_late", ("counter", counter.id), now, minutes=minutes, told=told)
    return told


def proposals(counter: Counter, now: datetime) -> list[Proposal]:
    """For each appointment still to come today a place at another counter of the office: at its time, else near it."""
    office = counter.desk.office
    lines = office_lines(office, now).for_staff().beyond_quota()
    lines = replace(lines, counters=tuple(line for line in lines.counters if line.counter_id != counter.id))
    found = []
    for one in still_to_come(counter, now):
        made = _proposal(one, lines, now)
        found.append(made)
        lines = _as_if(lines, made)
    return found


def close_and_move(counter: Counter, keys: Iterable[str], actor: Actor, now: datetime) -> int:
    """Nobody is at the counter for the rest of the day: it is closed, and what was proposed is done. Flushes.

    Returns how many were moved. Only what is still possible and was shown is done; the others stay where they are,
    are marked as exceptions, and can be called by any counter of the desk. Raises SlotTaken.
    """
    to_come, shown = still_to_come(counter, now), set(keys)
    for one in sorted(to_come, key=lambda one: one.id):
        lock(one)
    office = counter.desk.office
    raise_office([office.id], now)
    possible = [made for made in proposals(counter, now) if made.key in shown and made.counter_id]
    lines = {line.counter_id: line for line in office_lines(office, now).counters}
    for made in possible:
        _move(made, lines[made.counter_id or 0], actor, now)
    moved = {made.appointment.id for made in possible}
    for one in _of_today(counter, now):  # also who is there already, before their time
        one.is_exception = one.is_exception or (one.is_booked and one.starts_at > now and one.id not in moved)
    _close(counter, now)
    record(actor, "close_counter", ("counter", counter.id), now, moved=len(moved))
    db.session.flush()
    return len(moved)


def _proposal(appointment: Appointment, lines: OfficeLines, now: datetime) -> Proposal:
    demand = demand_of(appointment)
    offered = staff_offer(lines, demand, now)
    zone = lines.horizon.zone
    day = appointment.starts_at.astimezone(zone).date()
    ends = moment_of(day_start(day + timedelta(days=1), zone))
    near = [appointment.starts_at] if offered.has(appointment.starts_at) else offered.around(appointment.starts_at, 20)
    today = [start for start in near if start < ends and start > now]
    best = min(today, key=lambda start: abs(start.timestamp() - appointment.starts_at.timestamp()), default=None)
    line = tightest(lines, demand, best) if best else None
    if best is None or line is None:
        return Proposal(appointment, None, appointment.starts_at)
    return Proposal(appointment, line.counter_id, moment_of(tick_of(best)))


def _as_if(lines: OfficeLines, made: Proposal) -> OfficeLines:
    """The lines with the proposal done, so that no place is proposed twice."""
    if made.counter_id is None:
        return lines
    first, demand = tick_of(made.starts_at) - lines.horizon.base, demand_of(made.appointment)
    counters = [
        replace(line, taken=line.taken | between(first, first + demand.ticks + line.buffer))
        if line.counter_id == made.counter_id
        else line
        for line in lines.counters
    ]
    return replace(lines, counters=tuple(counters))


def _move(made: Proposal, line: CounterLine, actor: Actor, now: datetime) -> None:
    """At its time, only the counter changes, and nobody need be told: the screen says where to go."""
    one, before = made.appointment, made.appointment.counter_id
    ticks = ticks_for(line, demand_of(one), made.starts_at)
    reclaim(line.counter_id, ticks)
    take(line.counter_id, ticks, now, appointment_id=one.id)
    free(one.id, before, now, back_at(one.counter.desk.office.municipality, now))
    if not made.stays_in_time:
        place(one, line.counter_id, made.starts_at, actor, now)
        return
    one.counter_id, one.changed_at = line.counter_id, now
    db.session.flush()
    record(actor, "move", ("appointment", one.id), now, counter=line.counter_id)


def _close(counter: Counter, now: datetime) -> None:
    office = counter.desk.office
    zone = ZoneInfo(office.municipality.zone)
    ends = moment_of(day_start(now.astimezone(zone).date() + timedelta(days=1), zone))
    starts = moment_of(tick_of(now))
    db.session.add(Closure(office_id=office.id, counter_id=counter.id, starts_at=starts, ends_at=ends, reasons={}))


def without_contact(appointments: Sequence[Appointment]) -> list[Appointment]:
    """Those who cannot be written to."""
    return [one for one in appointments if not (one.booking.email or one.booking.phone)]
