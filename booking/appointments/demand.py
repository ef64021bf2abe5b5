"""Which services people come for most."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select

from booking.appointments.models import Appointment, AppointmentService, Booking
from booking.db import db

RECENTLY = timedelta(days=90)


def most_wanted(municipality_id: int, now: datetime, count: int) -> Sequence[int]:
    """The ids of the services booked most often of late, the most wanted first."""
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
