"""What happens on the day: arrived, served, missed, and taking the last step back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from booking.appointments.booking import lock
from booking.appointments.models import Appointment, Visit
from booking.db import db
from booking.staff.audit import Actor, record
from booking.townhall.revisions import raise_activity


class VisitState(StrEnum):
    EXPECTED = "expected"
    ARRIVED = "arrived"
    SERVED = "served"
    MISSED = "missed"
    CANCELLED = "cancelled"


class NotNow(Exception):
    """This step does not follow from the state the visit is in: a colleague was faster, or the page was old."""


def state_of(appointment: Appointment) -> VisitState:
    visit = appointment.visit
    if not appointment.is_booked:
        return VisitState.CANCELLED
    if visit is None or (visit.arrived_at is None and visit.missed_at is None):
        return VisitState.EXPECTED
    if visit.served_at is not None:
        return VisitState.SERVED
    return VisitState.MISSED if visit.missed_at is not None else VisitState.ARRIVED


def arrive(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """The citizen is there; also after having been given up as missed. Raises NotNow. Flushes."""
    visit = _visit(appointment, {VisitState.EXPECTED, VisitState.MISSED}, now)
    visit.arrived_at, visit.missed_at = now, None
    _record(actor, "arrive", appointment, now)


def serve(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """The matter is dealt with. Who was never marked as arrived has arrived now. Raises NotNow. Flushes."""
    visit = _visit(appointment, {VisitState.EXPECTED, VisitState.ARRIVED}, now)
    visit.arrived_at, visit.served_at = visit.arrived_at or now, now
    _record(actor, "serve", appointment, now)


def miss(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """Nobody came. Raises NotNow, also before the appointment begins. Flushes."""
    visit = _visit(appointment, {VisitState.EXPECTED}, now)
    if now < appointment.starts_at:
        raise NotNow
    visit.missed_at = now
    _record(actor, "miss", appointment, now)


def undo(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """Takes the last step back. Raises NotNow when there is none. Flushes."""
    visit = _visit(appointment, {VisitState.ARRIVED, VisitState.SERVED, VisitState.MISSED}, now)
    if visit.served_at is not None:
        visit.served_at = None
    else:
        visit.arrived_at = visit.missed_at = None
    _record(actor, "undo", appointment, now)


STEPS: dict[str, Callable[[Appointment, Actor, datetime], None]] = {
    "arrive": arrive,
    "serve": serve,
    "miss": miss,
    "undo": undo,
}


def _visit(appointment: Appointment, expected: set[VisitState], now: datetime) -> Visit:
    """The visit row, read after the office row is raised: of two clerks the second sees what the first did."""
    lock(appointment)
    desk = appointment.counter.desk
    raise_activity([desk.office_id], now)
    if appointment.visit is not None:
        db.session.refresh(appointment.visit)
    if state_of(appointment) not in expected:
        raise NotNow
    if appointment.visit is None:
        appointment.visit = Visit(desk_id=desk.id)
    return appointment.visit


def _record(actor: Actor, action: str, appointment: Appointment, now: datetime) -> None:
    db.session.flush()
    record(actor, action, ("appointment", appointment.id), now)
    db.session.flush()
