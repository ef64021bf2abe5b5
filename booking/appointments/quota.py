"""Whether an appointment took time that is kept back for walk-ins."""

from __future__ import annotations

from datetime import datetime

from booking.appointments.models import Appointment
from booking.appointments.timelines import office_lines
from booking.slots.clock import tick_of
from booking.slots.timeline import between


def is_beyond_quota(appointment: Appointment, now: datetime) -> bool:
    """Whether citizens could not have booked this time: then it is marked."""
    lines = office_lines(appointment.counter.desk.office, now)
    base = lines.horizon.base
    mine = between(tick_of(appointment.starts_at) - base, tick_of(appointment.ends_at) - base)
    return any(line.kept_back & mine for line in lines.counters if line.counter_id == appointment.counter_id)
