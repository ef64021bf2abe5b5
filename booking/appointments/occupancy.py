"""Taking and freeing the ticks of a counter. The primary key (counter, tick) refuses whoever comes second."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from booking.appointments.models import Occupancy
from booking.db import db

_UNSEEN = {"synchronize_session": False}


class SlotTaken(Exception):
    """The slot is not free (any more). The transaction is over: roll it back."""


def take(counter_id: int, ticks: Iterable[int], now: datetime, **taker: Any) -> None:
    """Inserts the ticks, in their order, for `appointment_id` or for `hold_id` until `expires_at`.

    Expired ticks in the way are deleted first. Raises SlotTaken when one of them is somebody else's.
    """
    wanted = sorted(ticks)
    if not wanted:
        return
    db.session.execute(
        delete(Occupancy).where(
            Occupancy.counter_id == counter_id, Occupancy.tick.in_(wanted), Occupancy.expires_at <= now
        ),
        execution_options=_UNSEEN,
    )
    try:
        db.session.execute(insert(Occupancy), [{"counter_id": counter_id, "tick": t, **taker} for t in wanted])
    except IntegrityError as refusal:
        raise SlotTaken from refusal


def hand_over(hold_id: int, appointment_id: int) -> set[int]:
    """The ticks of a living hold become those of an appointment; which they are."""
    handed = db.session.scalars(
        update(Occupancy)
        .where(Occupancy.hold_id == hold_id)
        .values(appointment_id=appointment_id, hold_id=None, expires_at=None)
        .returning(Occupancy.tick),
        execution_options=_UNSEEN,
    )
    return set(handed)


def ticks_of(appointment_id: int) -> list[int]:
    """The ticks that the appointment occupies at its counter, buffer included."""
    return list(db.session.scalars(select(Occupancy.tick).where(Occupancy.appointment_id == appointment_id)))


def free(appointment_id: int, counter_id: int, keep: Iterable[int] = ()) -> None:
    """Gives the appointment's ticks at this counter back, but for those to keep."""
    db.session.execute(
        delete(Occupancy).where(
            Occupancy.appointment_id == appointment_id,
            Occupancy.counter_id == counter_id,
            Occupancy.tick.not_in(list(keep)),
        ),
        execution_options=_UNSEEN,
    )


def free_hold(hold_id: int) -> None:
    db.session.execute(delete(Occupancy).where(Occupancy.hold_id == hold_id), execution_options=_UNSEEN)


def sweep(now: datetime) -> int:
    """Deletes expired ticks, for tidiness only: whoever reads compares their end with now. Returns how many."""
    swept = db.session.execute(
        delete(Occupancy).where(Occupancy.expires_at <= now).returning(Occupancy.tick), execution_options=_UNSEEN
    )
    return len(swept.all())
