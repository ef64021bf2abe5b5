"""Holds: a slot is kept while the citizen fills in the form. Its end is compared with now, by whoever looks."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete

from booking.appointments.models import Hold
from booking.appointments.occupancy import SlotTaken, free_hold, take
from booking.appointments.offers import Demand, first_free, lines_around, offer, office_lines, tightest
from booking.db import db
from booking.slots.clock import tick_of
from booking.townhall.models import Municipality, Office
from booking.townhall.revisions import raise_revision

LONGEST = timedelta(hours=2)  # a form takes nobody longer; who keeps asking keeps the slot from others
KEEP_ENDED = timedelta(days=1)  # so that what was typed late still finds its hold


def hold(office: Office, demand: Demand, start: datetime, now: datetime, instead_of: Hold | None = None) -> Hold:
    """Keeps the slot for the municipality's hold minutes and lets go of the hold it replaces.

    Raises SlotTaken. Flushes.
    """
    shown = _first_free_at(office.municipality, demand, now)
    raise_revision([office.id, *([instead_of.counter.desk.office_id] if instead_of else [])])
    if instead_of is not None:
        _let_go(instead_of, now)
    lines = lines_around(office, start, now)
    counter = tightest(lines, demand, start) if offer(office, demand, now, lines).has(start) else None
    if counter is None:
        raise SlotTaken
    held = Hold(
        counter_id=counter.counter_id,
        service_id=demand.service.id,
        people=demand.people,
        starts_at=start,
        made_at=now,
        expires_at=now + timedelta(minutes=office.municipality.hold_minutes),
        first_free_at=shown,
    )
    db.session.add(held)
    db.session.flush()
    ticks = range(tick_of(start), tick_of(start) + demand.ticks + counter.buffer)
    take(counter.counter_id, ticks, now, hold_id=held.id, expires_at=held.expires_at)
    return held


def extend(held: Hold, now: datetime) -> None:
    """Gives the citizen the full time again, counted from now, but no longer than LONGEST in all. Flushes.

    Raises SlotTaken when the slot is gone, has begun, or was kept for long enough. A hold that has become a
    booking stays as it is.
    """
    office = held.counter.desk.office
    raise_revision([office.id])
    db.session.refresh(held)
    if held.booking_id is not None:
        return
    if now >= held.starts_at or now >= held.made_at + LONGEST:
        raise SlotTaken
    free_hold(held.id)
    demand = Demand(held.service, held.people)
    lines = lines_around(office, held.starts_at, now)
    line = next(line for line in lines.counters if line.counter_id == held.counter_id)
    first = tick_of(held.starts_at)
    if not line.fits(demand.ticks) >> (first - lines.horizon.base) & 1:
        raise SlotTaken
    held.expires_at = now + timedelta(minutes=office.municipality.hold_minutes)
    ticks = range(first, first + demand.ticks + line.buffer)
    take(held.counter_id, ticks, now, hold_id=held.id, expires_at=held.expires_at)
    db.session.flush()


def forget_ended(now: datetime) -> None:
    """Deletes holds that ended a day ago."""
    db.session.execute(
        delete(Hold).where(Hold.expires_at <= now - KEEP_ENDED), execution_options={"synchronize_session": False}
    )


def _first_free_at(municipality: Municipality, demand: Demand, now: datetime) -> datetime | None:
    """The first time on offer over all offices; read before the revision is raised, so that it may be kept."""
    found = first_free(offer(one, demand, now, office_lines(one, now)) for one in municipality.offices)
    return found and found[1]


def _let_go(held: Hold, now: datetime) -> None:
    """Ends a hold before its time, unless it became a booking meanwhile. The office row is raised already."""
    db.session.refresh(held)
    if held.booking_id is None and held.expires_at > now:
        free_hold(held.id)
        held.expires_at = now
        db.session.flush()
