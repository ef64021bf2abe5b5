"""What was moved away from a counter: the calendars that showed it there must be told, and cannot ask for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, event, inspect
from sqlalchemy.orm import Session

from booking.appointments.models import Appointment, Departure
from booking.db import db

KEPT = timedelta(days=4)  # feeds show it until its day is over, and for two days at least


def forget_departures(now: datetime) -> None:
    """Deletes those that no feed shows any more."""
    over = (Departure.starts_at <= now - KEPT, Departure.left_at <= now - KEPT)
    db.session.execute(delete(Departure).where(*over), execution_options={"synchronize_session": False})


@event.listens_for(Session, "before_flush")
def _leave(session: Session, _context: object, _instances: object) -> None:
    """Whoever gives an appointment another counter leaves a line at the old one, also who did not think of it."""
    for one in session.dirty:
        if isinstance(one, Appointment) and _before(one, "counter_id") is not None:
            session.add(
                Departure(
                    appointment_id=one.id,
                    counter_id=_before(one, "counter_id"),
                    sequence=one.sequence,
                    starts_at=_before(one, "starts_at") or one.starts_at,
                    ends_at=_before(one, "ends_at") or one.ends_at,
                    left_at=one.changed_at,
                )
            )


def _before(appointment: Appointment, name: str) -> object:
    """What the database has for the column, if it is about to change."""
    history = inspect(appointment).attrs[name].history
    return history.deleted[0] if history.added and history.deleted else None
