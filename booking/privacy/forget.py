"""Erasure: the person of each booking is forgotten some days after its last appointment; the counts stay.

General Data Protection Regulation, article 5 (1) (e): data are kept no longer than needed. What remains of a
booking names nobody and can no longer be reached: when, by which channel, for which service.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, exists, func, or_, select, update

from booking.appointments.models import Appointment, Booking, Visit
from booking.db import db
from booking.outbox.queue import erase
from booking.staff.audit import record, worker_of
from booking.townhall.models import Counter, Desk, Municipality
from booking.townhall.revisions import raise_activity

BATCH = 200


def forgotten_on(booking: Booking, municipality: Municipality) -> date:
    """The local date on which the person of this booking is erased."""
    return erasure_day(max(appointment.ends_at for appointment in booking.appointments), municipality)


def erasure_day(last_end: datetime, municipality: Municipality) -> date:
    """The local date on which a person is erased whose last appointment ends then."""
    days = timedelta(days=municipality.retention_days + 1)
    return last_end.astimezone(ZoneInfo(municipality.zone)).date() + days


def forget(booking: Booking, now: datetime) -> None:
    """Erases name, contact, reference and notes, revokes the link, and deletes the messages. Flushes.

    Feeds show references, so the offices' activity is raised.
    """
    raise_activity((appointment.counter.desk.office_id for appointment in booking.appointments), now)
    erase(appointment.id for appointment in booking.appointments)
    _forget_notes(Visit.appointment_id.in_([appointment.id for appointment in booking.appointments]))
    booking.name = booking.email = booking.phone = booking.reference = None
    booking.email_key = booking.phone_key = booking.needs = booking.answers = None
    booking.forgotten_at = now
    booking.generation += 1
    record(worker_of(booking.municipality_id), "forget", ("booking", booking.id), now)
    db.session.flush()


def forget_needs(now: datetime) -> int:
    """Erases what people needed to be able to come, and what they answered, as soon as their last appointment is over;
    of how many.

    It tells of their health (article 9), so it goes before everything else. Agendas show it, so they are told.
    """
    coming = exists().where(Appointment.booking_id == Booking.id, Appointment.ends_at > now)
    told = or_(Booking.needs.is_not(None), Booking.answers.is_not(None))
    over = select(Booking.id).where(told, ~coming).limit(BATCH)
    ids = list(db.session.scalars(over))
    if not ids:
        return 0
    where = select(Desk.office_id).join(Counter, Counter.desk_id == Desk.id)
    where = where.join(Appointment, Appointment.counter_id == Counter.id).where(Appointment.booking_id.in_(ids))
    raise_activity(db.session.scalars(where.distinct()).all(), now)
    erased = update(Booking).where(Booking.id.in_(ids)).values(needs=None, answers=None)
    db.session.execute(erased, execution_options={"synchronize_session": False})
    return len(ids)


def forget_due(now: datetime) -> int:
    """Forgets up to a batch of bookings whose day has come; returns how many. Call again until it is 0."""
    count = 0
    for municipality in db.session.scalars(select(Municipality)):
        for booking in _ended(municipality, now):
            forget(booking, now)
            count += 1
        offices = [office.id for office in municipality.offices]
        walk_ins = (Visit.appointment_id.is_(None), Visit.office_id.in_(offices), Visit.note.is_not(None))
        _forget_notes(*walk_ins, Visit.came_on < _kept_from(municipality, now))
    return count


def _forget_notes(*which: ColumnElement[bool]) -> None:
    """What a clerk wrote down about somebody goes with them, or after as many days where no name was asked for."""
    erased = update(Visit).where(*which).values(note=None, version=Visit.version + 1)
    db.session.execute(erased, execution_options={"synchronize_session": False})


def _ended(municipality: Municipality, now: datetime) -> list[Booking]:
    """Bookings not yet forgotten whose last appointment ended before the first day that is still kept."""
    limit = datetime.combine(_kept_from(municipality, now), datetime.min.time(), ZoneInfo(municipality.zone))
    query = (
        select(Booking)
        .join(Booking.appointments)
        .where(Booking.municipality_id == municipality.id, Booking.forgotten_at.is_(None))
        .group_by(Booking.id)
        .having(func.max(Appointment.ends_at) < limit)
        .limit(BATCH)
    )
    return list(db.session.scalars(query))


def _kept_from(municipality: Municipality, now: datetime) -> date:
    """The first local day of which persons are still kept."""
    return now.astimezone(ZoneInfo(municipality.zone)).date() - timedelta(days=municipality.retention_days)
