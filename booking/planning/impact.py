"""What a change of hours or closures hits, and carrying it out with a choice for each appointment: all or nothing.

A preview is the change itself, carried out and rolled back: it shows what the same code would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from booking.appointments.booking import cancel, demand_of, place, ticks_for, without
from booking.appointments.limits import back_at
from booking.appointments.models import Appointment, AppointmentState, VisitState
from booking.appointments.occupancy import SlotTaken, free, reclaim, take, ticks_of
from booking.appointments.offers import nearest, offer, tightest
from booking.appointments.timelines import CounterLine, OfficeLines, load_lines, office_lines
from booking.db import db
from booking.outbox.held import hold_back
from booking.planning.models import Adjustment, Choice, Hit
from booking.slots.clock import tick_from, tick_of
from booking.slots.timeline import between, mask_of
from booking.staff.audit import Actor, record
from booking.townhall.hours import Horizon
from booking.townhall.models import Counter, Desk, Municipality, Office
from booking.townhall.plans import Closing, NewHours, Plan, Reopening, Timetable, carry_out, offices_of
from booking.townhall.revisions import raise_office

NOTICE = timedelta(days=1)  # a proposal leaves this much time to read it, where the appointment itself does

KINDS = {NewHours: "hours", Timetable: "hours", Closing: "closing", Reopening: "reopening"}


class Meanwhile(Exception):
    """Since the preview somebody booked, moved or cancelled: it must be looked at again."""


@dataclass(frozen=True)
class Proposal:
    """An appointment that the plan hits, and the nearest time that fits it then; None where there is none."""

    appointment_id: int
    start: datetime | None
    is_reachable: bool


@dataclass(frozen=True)
class Decision:
    """What shall become of one appointment, and for a move its new start."""

    choice: Choice
    start: datetime | None = None


def decision(choice: Choice, start: datetime | None) -> Decision:
    """A move needs a time; where none fits, the appointment is kept."""
    return Decision(Choice.KEEP) if choice == Choice.MOVE and start is None else Decision(choice, start)


def preview(plan: Plan, actor: Actor, now: datetime) -> list[Proposal]:
    """The appointments that the plan would hit, earliest first. The caller rolls back: everything was done."""
    _adjustment, struck = _strike(plan, actor, now)
    room = Room(now)
    return [room.propose(one) for one in struck]


def apply(plan: Plan, decisions: Mapping[int, Decision], actor: Actor, now: datetime) -> Adjustment:
    """Carries the plan out, and for each appointment that it hits what was decided; messages wait. Flushes.

    Raises Meanwhile when other appointments are hit than were decided about, and SlotTaken when a proposed time is
    gone: then nothing may be committed.
    """
    adjustment, struck = _strike(plan, actor, now)
    if {one.id for one in struck} != set(decisions):
        raise Meanwhile
    room = Room(now)
    for one in struck:
        hit = note_hit(adjustment, one, decisions[one.id].choice)
        _decide(one, decisions[one.id], room, actor)
        hit.sequence = one.sequence
    db.session.flush()
    hold_back([one.id for one in struck], adjustment.name, now, adjustment.due_at)
    counted = {choice.value: sum(one.choice == choice for one in decisions.values()) for choice in Choice}
    record(actor, f"apply_{adjustment.kind}", ("adjustment", adjustment.id), now, **counted)
    return adjustment


def _strike(plan: Plan, actor: Actor, now: datetime) -> tuple[Adjustment, list[Appointment]]:
    """Writes the plan down; what comes back with it are the appointments that lie outside the hours because of it."""
    office_ids = offices_of(plan)
    lock_appointments(office_ids, now)
    raise_office(office_ids, now)
    before = outside_hours_of(office_ids, now)
    delta = carry_out(plan, now)
    after = outside_hours_of(office_ids, now)
    municipality = db.session.get_one(Municipality, actor.municipality_id)
    adjustment = Adjustment(
        municipality_id=municipality.id,
        staff_id=actor.staff_id,
        kind=KINDS[type(plan)],
        made_at=now,
        due_at=now + timedelta(minutes=municipality.wait_minutes),
        delta=delta,
    )
    db.session.add(adjustment)
    db.session.flush()
    query = select(Appointment).where(Appointment.id.in_(after - before)).options(joinedload(Appointment.booking))
    found = list(db.session.scalars(query.order_by(Appointment.starts_at, Appointment.id)))
    for one in found:
        if not _is_expected(one):  # who is there already is served
            one.is_exception = True
            note_hit(adjustment, one, Choice.KEEP)
    return adjustment, [one for one in found if _is_expected(one)]


def _is_expected(appointment: Appointment) -> bool:
    return appointment.visit is None or appointment.visit.state in (VisitState.EXPECTED, VisitState.MISSED)


def lock_appointments(office_ids: Sequence[int], now: datetime) -> None:
    """Waits for whoever changes one of the appointments still to come: their rows come before those of offices."""
    query = select(Appointment.id).join(Appointment.counter).join(Counter.desk).where(Desk.office_id.in_(office_ids))
    query = query.where(Appointment.state == AppointmentState.BOOKED, Appointment.starts_at > now)
    db.session.execute(query.order_by(Appointment.id).with_for_update(key_share=True, of=Appointment)).all()


def outside_hours_of(office_ids: Iterable[int], now: datetime) -> set[int]:
    """The appointments of these offices that reach out of the hours, as outside_hours() finds them."""
    offices = [db.session.get_one(Office, id) for id in office_ids]
    return {id for office in offices for id in outside_hours(office, now)}


def outside_hours(office: Office, now: datetime) -> set[int]:
    """The booked appointments still to come that reach out of the hours of their counter, exceptions apart."""
    query = select(Appointment.id, Appointment.counter_id, Appointment.starts_at, Appointment.ends_at)
    query = query.join(Appointment.counter).join(Counter.desk).where(Desk.office_id == office.id)
    booked = (Appointment.state == AppointmentState.BOOKED, Appointment.is_exception.is_(False))
    coming = db.session.execute(query.where(*booked, Appointment.starts_at > now)).all()
    if not coming:
        return set()
    zone = ZoneInfo(office.municipality.zone)
    first, last = (at.astimezone(zone).date() for at in (now, max(one.ends_at for one in coming)))
    horizon = Horizon(first, (last - first).days + 2, zone)
    lines = load_lines(office, office.revision, horizon, now)
    opening = {line.counter_id: line.opening.open for line in lines.counters}
    return {
        one.id
        for one in coming
        if between(tick_of(one.starts_at) - horizon.base, tick_from(one.ends_at) - horizon.base)
        & ~opening[one.counter_id]
    }


class Room:
    """The free times of the offices while a plan is carried out: read once, and kept as appointments are moved.

    The office rows are raised, so nobody else changes them meanwhile. What an appointment gives up is not given to
    another: then each proposal stands whatever is decided about the others.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._lines: dict[int, OfficeLines] = {}

    def propose(self, appointment: Appointment) -> Proposal:
        """The free time closest to the one it has, in its office and not sooner than can be read in time."""
        office = appointment.counter.desk.office
        found = offer(self._without(appointment, office), demand_of(appointment), self.now)
        earliest = tick_from(min(appointment.starts_at, self.now + NOTICE)) - found.base
        readable = replace(found, mask=found.mask >> earliest << earliest if earliest > 0 else found.mask)
        closest = nearest([readable], appointment.starts_at, 1)
        is_reachable = bool(appointment.booking.email or appointment.booking.phone)
        if not closest:
            return Proposal(appointment.id, None, is_reachable)
        self._take(appointment, closest[0][0])
        return Proposal(appointment.id, closest[0][0], is_reachable)

    def move(self, appointment: Appointment, start: datetime, actor: Actor) -> None:
        """Gives the appointment this start in its office, and tells so. Raises SlotTaken. Flushes."""
        line, ticks = self._take(appointment, start)
        own = set(ticks_of(appointment.id)) if line.counter_id == appointment.counter_id else set()
        reclaim(line.counter_id, ticks)
        take(line.counter_id, set(ticks) - own, self.now, appointment_id=appointment.id)
        back = back_at(appointment.counter.desk.office.municipality, self.now)
        free(appointment.id, appointment.counter_id, self.now, back, keep=ticks if own else ())
        place(appointment, line.counter_id, start.astimezone(UTC), actor, self.now)

    def _take(self, appointment: Appointment, start: datetime) -> tuple[CounterLine, range]:
        """The counter that loses least by it, and its ticks, which are taken from now on. Raises SlotTaken."""
        office, demand = appointment.counter.desk.office, demand_of(appointment)
        lines = self._without(appointment, office)
        line = tightest(lines, demand, start) if offer(lines, demand, self.now).has(start) else None
        if line is None:
            raise SlotTaken
        ticks = ticks_for(line, demand, start)
        taken = mask_of([ticks], lines.horizon.base)
        counters = tuple(
            replace(one, taken=one.taken | taken) if one.counter_id == line.counter_id else one
            for one in self._of(office).counters
        )
        self._lines[office.id] = replace(self._of(office), counters=counters)
        return line, ticks

    def _without(self, appointment: Appointment, office: Office) -> OfficeLines:
        return without(self._of(office), appointment)

    def _of(self, office: Office) -> OfficeLines:
        if office.id not in self._lines:
            self._lines[office.id] = office_lines(office, self.now).for_staff()
        return self._lines[office.id]


def note_hit(adjustment: Adjustment, one: Appointment, choice: Choice) -> Hit:
    """Writes down where and when the appointment is before the change that hits it."""
    hit = Hit(
        adjustment=adjustment,
        appointment_id=one.id,
        choice=choice,
        counter_id=one.counter_id,
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        ticks=len(ticks_of(one.id)),
        sequence=one.sequence,
    )
    db.session.add(hit)
    return hit


def _decide(appointment: Appointment, decision: Decision, room: Room, actor: Actor) -> None:
    if decision.choice == Choice.KEEP:
        appointment.is_exception = True
    elif decision.choice == Choice.CANCEL:
        cancel(appointment, actor, room.now)
    elif decision.start is None:
        raise Meanwhile
    else:
        room.move(appointment, decision.start, actor)


def open_proposal(appointment: Appointment) -> Hit | None:
    """The proposal that the citizen has not answered yet, nor overtaken by another change; None if there is none."""
    query = select(Hit).join(Hit.adjustment).where(Hit.appointment_id == appointment.id, Hit.choice == Choice.MOVE)
    query = query.where(Hit.answered_at.is_(None), Hit.sequence == appointment.sequence)
    return db.session.scalar(query.where(Adjustment.undone_at.is_(None)).order_by(Hit.id.desc()).limit(1))


def accept_proposal(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """The citizen takes the time that was proposed; a second click is harmless. Flushes."""
    hit = open_proposal(appointment)
    if hit is not None:
        hit.answered_at = now
        record(actor, "accept_proposal", ("appointment", appointment.id), now)
        db.session.flush()


def latest_hit(appointment: Appointment) -> Hit | None:
    """The change of hours that made the appointment what it is now, if it was one."""
    query = select(Hit).join(Hit.adjustment).where(Hit.appointment_id == appointment.id)
    query = query.where(Hit.sequence == appointment.sequence, Adjustment.undone_at.is_(None))
    return db.session.scalar(query.order_by(Hit.id.desc()).limit(1))


def unreachable(hits: Iterable[Hit]) -> list[Hit]:
    """Those of whom nobody can be written to, though something changes for them."""
    return [
        hit
        for hit in hits
        if hit.choice != Choice.KEEP and not (hit.appointment.booking.email or hit.appointment.booking.phone)
    ]
