"""An appointment that nobody has, to show what each message says before a citizen gets it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking, Channel
from booking.config import Settings
from booking.db import db
from booking.delivery.staff_letter import StaffLetter, sample_staff, words_of
from booking.delivery.wording import Wording, wording
from booking.outbox.models import TO_STAFF, Kind
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service

AHEAD = timedelta(days=7)


def sample(municipality_id: int, kind: Kind, language: str, now: datetime) -> Appointment | None:
    """An appointment in a week with the first service of the first counter that has one; it is in no session."""
    query = (
        select(Counter, Service)
        .join(Counter.desk)
        .join(Desk.office)
        .join(CounterService, CounterService.counter_id == Counter.id)
        .join(Service, Service.id == CounterService.service_id)
        .where(Office.municipality_id == municipality_id)
        .order_by(Office.position, Desk.position, Counter.number, Service.is_sensitive, Service.id)
    )
    found = db.session.execute(query.limit(1)).first()
    if found is None:
        return None
    counter, service = found
    booking = Booking(id=0, reference="K74P9XA", name="Alex", language=language, channel=Channel.WEB, generation=1)
    booking.municipality_id, booking.made_at = municipality_id, now
    starts_at = (now + AHEAD).replace(minute=20, second=0, microsecond=0)
    state = AppointmentState.CANCELLED if kind == Kind.CANCELLATION else AppointmentState.BOOKED
    made = Appointment(id=0, booking=booking, counter=counter, uid="sample@balie", sequence=0, state=state)
    made.starts_at, made.ends_at, made.changed_at = starts_at, starts_at + timedelta(minutes=service.minutes), now
    made.items = [AppointmentService(service=service, people=1, position=0)]
    return made


def sample_wording(
    municipality_id: int, kind: Kind, language: str, settings: Settings, now: datetime
) -> Wording | None:
    """What a message of this kind says; None where there is nothing yet that could be booked."""
    if kind in TO_STAFF:
        town = db.session.get_one(Municipality, municipality_id)
        staff = sample_staff(town, language, now)
        return words_of(kind, StaffLetter(town, staff.email, None, staff, now + AHEAD), settings)
    shown = sample(municipality_id, kind, language, now)
    return wording(kind, [shown], settings, [shown] if kind == Kind.LIST else ()) if shown else None
