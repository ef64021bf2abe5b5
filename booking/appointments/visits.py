"""What happens on the day: each step of a visit, and taking the last one back.

A step raises the office row first, so that of two clerks the second sees what the first did; it then compares the
state, and the row's version once more when it is written. A button that is pressed twice acts once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm.exc import StaleDataError

from booking.appointments.booking import lock
from booking.appointments.models import Appointment, Visit, VisitState, VisitStep
from booking.db import db
from booking.staff.audit import Actor, record
from booking.townhall.models import Counter, Desk, Service
from booking.townhall.revisions import raise_activity

Subject = Appointment | Visit  # an appointment has no visit before its first step
S = VisitState
UNDERWAY = frozenset({S.CALLED, S.SERVING})
PRESENT = frozenset({S.ARRIVED, S.PARKED}) | UNDERWAY
TO_COME = frozenset({S.EXPECTED, S.MISSED})
STANDING = ("state", "desk_id", "counter_id", "calls")  # what a step changes, besides moments
MOMENTS = ("arrived_at", "called_at", "rung_at", "began_at", "served_at", "missed_at", "left_at")


class NotNow(Exception):
    """This step does not follow from the state the visit is in: a colleague was faster, or the page was old."""


class CounterBusy(NotNow):
    """Somebody is called to this counter already; first say what became of them."""


class NoCounter(NotNow):
    """Nobody can be called before it is known to which counter."""


@dataclass(frozen=True)
class Press:
    """A button that was pressed: by whom, when, at which counter, and the visit's version on their page."""

    actor: Actor
    now: datetime
    counter_id: int | None = None
    seen: int | None = None


@dataclass(frozen=True)
class Step:
    """What a button does to a visit, and the states in which it may be pressed."""

    states: frozenset[VisitState]
    change: Callable[[Visit, Press], None]


def state_of(subject: Subject) -> VisitState:
    visit = subject if isinstance(subject, Visit) else subject.visit
    appointment = subject if isinstance(subject, Appointment) else subject.appointment
    if appointment is not None and not appointment.is_booked:
        return S.CANCELLED
    return S.EXPECTED if visit is None else visit.state


def is_late(appointment: Appointment, now: datetime) -> bool:
    """Whether the citizen is expected and the desk's grace is over; they can still be taken."""
    return state_of(appointment) == S.EXPECTED and now > appointment.starts_at + grace_of(appointment)


def grace_of(appointment: Appointment) -> timedelta:
    """How long after its time one is still in time: the desk's grace, and as much as the counter itself is late."""
    counter = appointment.counter
    late = counter.late_by(local_day(counter.desk, appointment.starts_at))
    return timedelta(minutes=counter.desk.grace_minutes + late)


def take_step(name: str, subject: Subject, press: Press) -> Visit:
    """Takes one step of STEPS. Pressed twice it acts once. Raises NotNow. Flushes."""
    visit = locked(subject, press)
    if _is_pressed_again(visit, name, press):
        return visit
    step = STEPS[name]
    if state_of(visit) not in step.states:
        raise NotNow
    before = standing(visit)
    with db.session.no_autoflush:
        step.change(visit, press)
    write(visit, name, before, press)
    return visit


def undo(subject: Subject, press: Press) -> Visit:
    """Takes the last step back, and before it the one before. Raises NotNow when there is none. Flushes."""
    visit = locked(subject, press)
    if _is_pressed_again(visit, "undo", press):
        return visit
    last = _steps(visit, is_undone=False)
    if last is None or not last.before or press.seen not in (None, visit.version):
        raise NotNow
    before = standing(visit)
    counter_id = last.before["counter_id"]
    if counter_id is not None and visit_at(counter_id) not in (None, visit):
        raise CounterBusy
    for name in STANDING:
        setattr(visit, name, last.before[name])
    for name in MOMENTS:
        moment = last.before[name]
        setattr(visit, name, moment and datetime.fromisoformat(moment))
    visit.state = VisitState(visit.state)
    last.is_undone = True
    write(visit, "undo", before, press)
    return visit


def forward(subject: Subject, desk: Desk, press: Press) -> Visit:
    """Sends the visit to another desk of the office, with all that was typed; it waits there since it came.

    Raises NotNow. Flushes.
    """
    visit = locked(subject, press)
    if _is_pressed_again(visit, "forward", press):
        return visit
    if state_of(visit) not in PRESENT or desk.office_id != visit.office_id or desk.id == visit.desk_id:
        raise NotNow
    before = standing(visit)
    visit.desk_id, visit.state, visit.counter_id, visit.calls = desk.id, S.ARRIVED, None, 0
    visit.called_at = visit.rung_at = visit.began_at = None
    write(visit, "forward", before, press, to=desk.id)
    return visit


def write_note(subject: Subject, text: str, press: Press) -> Visit:
    """Keeps a note with the visit until the person is erased. Flushes."""
    visit = locked(subject, press)
    visit.note = text[:500] or None
    db.session.flush()
    record(press.actor, "note", ("visit", visit.id), press.now)
    return visit


def take_ticket(desk: Desk, service: Service | None, people: int, press: Press) -> Visit:
    """Somebody without an appointment takes a number and waits. Flushes."""
    raise_activity([desk.office_id], press.now)
    visit = Visit(
        office_id=desk.office_id,
        desk_id=desk.id,
        service_id=service.id if service else None,
        people=people,
        state=S.EXPECTED,
        calls=0,
    )
    db.session.add(visit)
    with db.session.no_autoflush:
        _arrive(visit, press)
    write(visit, "arrive", {}, press)
    return visit


def visit_at(counter_id: int) -> Visit | None:
    """Whom the counter has called or serves."""
    return db.session.scalar(
        select(Visit).where(Visit.counter_id == counter_id).execution_options(populate_existing=True)
    )


def waited(visit: Visit) -> timedelta | None:
    """From the booked time (a walk-in or a late one: from coming) to the first call; None before it."""
    if visit.called_at is None or visit.arrived_at is None:
        return None
    return max(visit.called_at - waits_since(visit), timedelta())


def waits_since(visit: Visit) -> datetime:
    """From when on the visit has waited: nobody waits before the time that was agreed."""
    agreed = visit.appointment.starts_at if visit.appointment else None
    return max(moment for moment in (agreed, visit.arrived_at) if moment is not None)


def local_day(desk: Desk, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(desk.office.municipality.zone)).date()


def locked(subject: Subject, press: Press) -> Visit:
    """The visit, read after the office row is raised; a new one where an appointment has none yet. Raises NotNow.

    An appointment may go to another office until the citizen has come, so until then its row is taken first.
    """
    visit = subject if isinstance(subject, Visit) else subject.visit
    appointment = subject if isinstance(subject, Appointment) else subject.appointment
    if appointment is not None and (visit is None or visit.state in TO_COME):
        lock(appointment)
    desk_id = visit.desk_id if visit else appointment.counter.desk_id if appointment else 0
    office_id = db.session.get_one(Desk, desk_id).office_id
    raise_activity([office_id], press.now)
    if appointment is not None:
        db.session.refresh(appointment, ["state", "visit"])
        visit = appointment.visit
    if visit is not None:
        db.session.refresh(visit)
    else:
        visit = Visit(appointment=appointment, office_id=office_id, desk_id=desk_id, people=1, calls=0)
        visit.state = S.EXPECTED
        db.session.add(visit)
    if state_of(visit) == S.CANCELLED:
        raise NotNow
    return visit


def _arrive(visit: Visit, press: Press) -> None:
    """Also after having been given up as missed. Everybody who comes gets a number, once a day."""
    appointment, desk = visit.appointment, db.session.get_one(Desk, visit.desk_id)
    today = local_day(desk, press.now)
    if appointment is not None:
        desk = appointment.counter.desk
        _check_day(visit, press)
        if _is_past(visit, press):
            raise NotNow
    visit.office_id, visit.desk_id, visit.state = desk.office_id, desk.id, S.ARRIVED
    visit.arrived_at, visit.missed_at = press.now, None
    if visit.number is None or visit.came_on != today:
        visit.came_on, visit.number = today, _next_number(desk.office_id, today)


def _next_number(office_id: int, day: date) -> int:
    """The office row is raised, so nobody else counts; the database would refuse a number given twice."""
    last = select(func.max(Visit.number)).where(Visit.office_id == office_id, Visit.came_on == day)
    return (db.session.scalar(last) or 0) + 1


def _check_day(visit: Visit, press: Press) -> None:
    """Nobody comes for an appointment of another day to come."""
    if visit.appointment is not None:
        desk = visit.appointment.counter.desk
        if local_day(desk, visit.appointment.starts_at) > local_day(desk, press.now):
            raise NotNow


def _is_past(visit: Visit, press: Press) -> bool:
    """Whether the appointment was on a day before."""
    if visit.appointment is None:
        return False
    desk = visit.appointment.counter.desk
    return local_day(desk, visit.appointment.starts_at) < local_day(desk, press.now)


def _call(visit: Visit, press: Press) -> None:
    """To the counter of whoever pressed; where that is not known, to the one of the appointment."""
    counter_id = press.counter_id or (visit.appointment.counter_id if visit.appointment else None)
    if visit.state == S.EXPECTED:
        _arrive(visit, press)
    counter = db.session.get(Counter, counter_id) if counter_id else None
    if counter is None or counter.desk_id != visit.desk_id:
        raise NoCounter
    if visit_at(counter.id) is not None:
        raise CounterBusy
    visit.state, visit.counter_id, visit.calls = S.CALLED, counter.id, visit.calls + 1
    visit.called_at, visit.rung_at = visit.called_at or press.now, press.now


def _ring(visit: Visit, press: Press) -> None:
    visit.rung_at, visit.calls = press.now, visit.calls + 1


def _begin(visit: Visit, press: Press) -> None:
    visit.state, visit.began_at = S.SERVING, press.now


def _serve(visit: Visit, press: Press) -> None:
    """The matter is dealt with. Who was never marked as arrived has arrived now, without a number."""
    if visit.state == S.EXPECTED:
        _check_day(visit, press)
        visit.arrived_at = press.now
        if _is_past(visit, press) and visit.appointment is not None:  # entered from paper: as it was planned
            visit.arrived_at, visit.served_at = visit.appointment.starts_at, visit.appointment.ends_at
            visit.state = S.SERVED
            return
    visit.state, visit.counter_id, visit.served_at = S.SERVED, None, press.now


def _park(visit: Visit, _press: Press) -> None:
    visit.state, visit.counter_id = S.PARKED, None


def _queue(visit: Visit, _press: Press) -> None:
    """Back among those who wait."""
    visit.state, visit.counter_id = S.ARRIVED, None


def _miss(visit: Visit, press: Press) -> None:
    """Nobody came: not before the appointment begins."""
    if visit.appointment is not None and press.now < visit.appointment.starts_at:
        raise NotNow
    visit.state, visit.counter_id, visit.missed_at = S.MISSED, None, press.now


def _leave(visit: Visit, press: Press) -> None:
    visit.state, visit.counter_id, visit.left_at = S.LEFT, None, press.now


STEPS: dict[str, Step] = {
    "arrive": Step(TO_COME, _arrive),
    "call": Step(frozenset({S.EXPECTED, S.ARRIVED, S.PARKED}), _call),
    "ring": Step(frozenset({S.CALLED}), _ring),
    "begin": Step(frozenset({S.CALLED}), _begin),
    "serve": Step(PRESENT | {S.EXPECTED}, _serve),
    "park": Step(UNDERWAY, _park),
    "queue": Step(frozenset({S.PARKED, S.CALLED}), _queue),
    "miss": Step(frozenset({S.EXPECTED, S.CALLED, S.PARKED}), _miss),
    "leave": Step(PRESENT, _leave),
}


def _is_pressed_again(visit: Visit, name: str, press: Press) -> bool:
    """Whether the same button of the same page was pressed a moment ago by the same person."""
    if visit in db.session.new or press.seen is None or visit.version != press.seen + 1:
        return False
    last = _steps(visit)
    return last is not None and last.step == name and last.staff_id == press.actor.staff_id


def _steps(visit: Visit, **which: bool) -> VisitStep | None:
    """The last step of the visit, of these."""
    if visit in db.session.new:
        return None
    query = select(VisitStep).where(VisitStep.visit_id == visit.id).filter_by(**which)
    return db.session.scalar(query.order_by(VisitStep.id.desc()).limit(1))


def standing(visit: Visit) -> dict[str, Any]:
    """What a step may change, as it can be kept."""
    moments = {name: getattr(visit, name) for name in MOMENTS}
    kept = {name: getattr(visit, name) for name in STANDING}
    return {**kept, **{name: moment and moment.isoformat() for name, moment in moments.items()}}


def write(
    visit: Visit, name: str, before: dict[str, Any], press: Press, *, counter_id: int | None = None, **details: Any
) -> None:
    """Writes the visit, its step and the audit line; of two who change it at once one is refused."""
    try:
        db.session.flush()
    except StaleDataError as refusal:
        raise NotNow from refusal
    db.session.add(
        VisitStep(
            visit_id=visit.id,
            at=press.now,
            step=name,
            desk_id=visit.desk_id,
            counter_id=counter_id or visit.counter_id or before.get("counter_id"),
            staff_id=press.actor.staff_id,
            before=before,
            is_undone=name == "undo",
        )
    )
    db.session.flush()
    record(press.actor, name, ("visit", visit.id), press.now, appointment=visit.appointment_id, **details)
