"""The office cancels one appointment: for a cause that the citizen is told, and for some minutes it can be undone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from booking.appointments.booking import annul, lock
from booking.appointments.models import Appointment, VisitState
from booking.appointments.visits import NotNow, local_day, state_of
from booking.db import db
from booking.outbox.held import hold_back, waiting
from booking.planning.impact import latest_hit, note_hit
from booking.planning.models import Adjustment, Cause, Choice
from booking.planning.undo import UNDO_FOR
from booking.staff.audit import Actor
from booking.townhall.models import Municipality
from booking.townhall.revisions import raise_office

LONGEST_WAIT = timedelta(minutes=5)  # one appointment is soon looked at again, and its time may be near
KIND = "cancelling"
NO_HOURS: dict[str, Any] = {
    name: {"removed": [], "added": []} for name in ("hours", "closures")
}  # no hours or closures change


def cancel_by_office(appointment: Appointment, cause: Cause, seen: int, actor: Actor, now: datetime) -> Adjustment:
    """Cancels the appointment, also when its time has begun and nobody came; its news waits some minutes. Flushes.

    `seen` is the sequence that the clerk's page showed. A second press finds what the first did. Raises NotNow when
    the citizen has come, or the appointment was changed meanwhile or is of a day before.
    """
    lock(appointment)
    raise_office([appointment.counter.desk.office_id], now)
    db.session.refresh(appointment, ["visit"])
    made = cancelled_by_office(appointment)
    if made is not None and made.staff_id == actor.staff_id and appointment.sequence == seen + 1:
        return made
    if appointment.sequence != seen or not can_be_cancelled(appointment, now):
        raise NotNow
    made = _adjustment(appointment, cause, actor, now)
    hit = note_hit(made, appointment, Choice.CANCEL)
    annul(appointment, actor, now, cause=cause.value)
    hit.sequence = appointment.sequence
    db.session.flush()
    hold_back([appointment.id], made.name, now, made.due_at)
    return made


def can_be_cancelled(appointment: Appointment, now: datetime) -> bool:
    """Whether the citizen is still expected, today or later."""
    desk = appointment.counter.desk
    is_past = local_day(desk, appointment.starts_at) < local_day(desk, now)
    return state_of(appointment) == VisitState.EXPECTED and not is_past


def cancelled_by_office(appointment: Appointment) -> Adjustment | None:
    """How the office cancelled the appointment by itself; None if it stands, or was cancelled in another way."""
    hit = None if appointment.is_booked else latest_hit(appointment)
    return hit.adjustment if hit is not None and hit.adjustment.kind == KIND else None


def waits_until(made: Adjustment, now: datetime) -> datetime | None:
    """Until when its news waits; None when it has gone, or when there is nobody to write to."""
    found = (one.due_at for one in waiting(made.municipality_id, now) if one.change == made.name)
    return next(found, None)


def can_be_undone(made: Adjustment, now: datetime) -> bool:
    """Whether nobody was told yet."""
    contact = select(Appointment).where(Appointment.id == made.hits[0].appointment_id)
    booking = db.session.scalars(contact).one().booking
    is_silent = not (booking.email or booking.phone)
    return now <= made.made_at + UNDO_FOR and (is_silent or waits_until(made, now) is not None)


def _adjustment(appointment: Appointment, cause: Cause, actor: Actor, now: datetime) -> Adjustment:
    municipality = db.session.get_one(Municipality, actor.municipality_id)
    wait = min(timedelta(minutes=municipality.wait_minutes), LONGEST_WAIT)
    made = Adjustment(
        municipality_id=municipality.id,
        staff_id=actor.staff_id,
        kind=KIND,
        cause=cause,
        made_at=now,
        due_at=now + wait,
        delta=NO_HOURS,
    )
    db.session.add(made)
    db.session.flush()
    return made
