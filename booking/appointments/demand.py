"""Which services people come for most."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, func, select

from booking.appointments.models import Appointment, AppointmentService, Booking
from booking.db import db

RECENTLY = timedelta(days=90)
KEPT_FOR = timedelta(minutes=10)  # counting a big city's bookings of three months takes too long for each page

_kept: WeakKeyDictionary[Engine, dict[tuple[int, int], tuple[datetime, Sequence[int]]]] = WeakKeyDictionary()


def most_wanted(municipality_id: int, now: datetime, count: int) -> Sequence[int]:
    """The ids of the services booked most often of late, the most wanted first; counted anew after some minutes."""
    known = _kept.setdefault(db.engine, {})
    at, found = known.get((municipality_id, count), (None, []))
    if at is None or not at <= now < at + KEPT_FOR:
        found = _counted(municipality_id, now, count)
        known[municipality_id, count] = (now, found)
    return found


def _counted(municipality_id: int, now: datetime, count: int) -> Sequence[int]:
    query = (
        select(AppointmentService.service_id)
        .join(Appointment, Appointment.id == AppointmentService.appointment_id)
        .join(Booking, Booking.id == Appointment.booking_id)
        .where(Booking.municipality_id == municipality_id, Booking.made_at > now - RECENTLY)
        .group_by(AppointmentService.service_id)
        .order_by(func.count().desc(), AppointmentService.service_id)
        .limit(count)
    )
    return db.session.scalars(query).all()
