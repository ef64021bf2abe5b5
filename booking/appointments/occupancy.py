"""Taking and freeing the ticks of a counter. The primary key (counter, tick) refuses whoever comes second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from booking.appointments.models import Occupancy
from booking.db import db, run, table
from booking.townhall.models import Counter, Desk
from booking.townhall.revisions import note_change, wait_for

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
    _delete(_at(counter_id, wanted), Occupancy.expires_at <= now)
    try:
        run(insert(_OCCUPANCY), [{"counter_id": counter_id, "tick": t, **taker} for t in wanted])
    except IntegrityError as refusal:
        raise SlotTaken from refusal
    note_change(counter_id, wanted, now)


def reclaim(counter_id: int, ticks: Iterable[int]) -> None:
    """Deletes freed ticks that are not back yet, for staff, who may use them at once."""
    _delete(_at(counter_id, list(ticks)), Occupancy.appointment_id.is_(None), Occupancy.hold_id.is_(None))


_OCCUPANCY = table(Occupancy)


def ticks_of(appointment_id: int) -> list[int]:
    """The ticks that the appointment occupies at its counter, buffer included."""
    return list(db.session.scalars(select(Occupancy.tick).where(Occupancy.appointment_id == appointment_id)))


def places_of(appointment_id: int) -> list[tuple[int, int]]:
    """The counters and ticks that the appointment occupies, buffer included."""
    places = select(Occupancy.counter_id, Occupancy.tick).where(Occupancy.appointment_id == appointment_id)
    return [(counter_id, tick) for counter_id, tick in db.session.execute(places)]


def pass_on(givers: Sequence[int], taker: int, counter_id: int, ticks: Sequence[int]) -> None:
    """What these appointments have of the ticks becomes the taker's."""
    theirs = _at(counter_id, ticks) & Occupancy.appointment_id.in_(givers)
    db.session.execute(update(Occupancy).where(theirs).values(appointment_id=taker), execution_options=_UNSEEN)


def free(appointment_id: int, counter_id: int, now: datetime, back_at: datetime, keep: Iterable[int] = ()) -> None:
    """Gives the appointment's ticks at this counter back, but for those to keep; others may take them from
    `back_at` on (staff at once)."""
    mine = and_(Occupancy.appointment_id == appointment_id, Occupancy.counter_id == counter_id)
    given = mine & Occupancy.tick.not_in(list(keep))
    if back_at > now:
        rows = update(Occupancy).where(given).values(appointment_id=None, expires_at=back_at)
        ticks = db.session.scalars(rows.returning(Occupancy.tick), execution_options=_UNSEEN).all()
    else:
        ticks = _delete(given)
    if ticks:
        note_change(counter_id, ticks, now)


def free_hold(hold_id: int, counter_id: int, now: datetime) -> None:
    """Gives the ticks of a hold back at once."""
    ticks = _delete(Occupancy.hold_id == hold_id)
    if ticks:
        note_change(counter_id, ticks, now)


def sweep(now: datetime) -> int:
    """Deletes expired ticks, for tidiness only: whoever reads compares their end with now. Returns how many.

    The offices wait meanwhile, so that nobody takes the ticks in another order.
    """
    ended = Occupancy.expires_at <= now
    counters = select(Occupancy.counter_id).where(ended)
    offices = select(Desk.office_id).join(Counter, Counter.desk_id == Desk.id).where(Counter.id.in_(counters))
    wait_for(db.session.scalars(offices.distinct()).all())
    return len(_delete(ended))


def _at(counter_id: int, ticks: Sequence[int]) -> ColumnElement[bool]:
    return and_(Occupancy.counter_id == counter_id, Occupancy.tick.in_(ticks))


def _delete(*which: ColumnElement[bool]) -> Sequence[int]:
    """Deletes these ticks; which they were."""
    gone = delete(Occupancy).where(*which).returning(Occupancy.tick)
    return db.session.scalars(gone, execution_options=_UNSEEN).all()
